"""A session's history, a part at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnwise.errors import UsageError
from turnwise.fleet import PastTurn
from turnwise.session import Session


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A part of a session's history.

    Attributes:
        turns: The newest first; in each the items are in order.
        before: What the next call takes to go on with older turns; None at the beginning.
    """

    turns: list[PastTurn]
    before: str | None


async def history_page(
    session: Session, session_id: str, count: int, before: str | None
) -> HistoryPage | None:
    """See `Gateway.history`."""
    limit = count + 1
    while True:
        turns = await session.history(session_id, limit=limit)
        if turns is None:
            return None
        end = _place(turns, before)
        if (end or 0) > count or len(turns) < limit:
            break
        limit *= 2
    if end is None:
        raise UsageError(
            f"its history has no turn {before!r} any more. Read it again from the end",
            session_id=session_id,
        )
    found = turns[max(0, end - count) : end]
    return HistoryPage(found[::-1], found[0].turn_id if end > count else None)


def _place(turns: Sequence[PastTurn], before: str | None) -> int | None:
    """How many of the turns come before the cursor; None if its turn is not among them."""
    if before is None:
        return len(turns)
    return next((place for place, turn in enumerate(turns) if turn.turn_id == before), None)
