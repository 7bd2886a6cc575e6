"""What the store has of single turns and items, for wires that show them one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass

from turnwise.approvals import REJECTED, ParkedTurn
from turnwise.errors import AlreadyCommitted
from turnwise.fleet import EndedTurn, PastTurn
from turnwise.fleet.ended_turns import (
    Event,
    Item,
    ended_turn,
    events_so_far,
    items_before,
    times_parked,
)
from turnwise.fleet.item_removal import remove_item
from turnwise.journal_entries import read_parked
from turnwise.session import Session
from turnwise.turns import NOT_APPROVED, is_expired
from turnwise.types import Absent, Parked, PendingApproval, Running

__all__ = ["NOT_APPROVED", "REJECTED", "Decision", "Parking", "Stored"]
_BEGUN = "begun"
Decision = tuple[bool, str | None]
"""Whether a call is approved; what the model is told if it is not, None for the SDK's text."""


@dataclass(frozen=True)
class Parking:
    """How an open turn was parked last, and what was decided since.

    Attributes:
        times: How often it was parked, this time too.
        approvals: What it asks for.
        decided: The decisions so far, by the ids of the approvals.
        items: What the turn had added by then.
        is_late: Whether `approval_timeout` is over.
        is_parked: Whether nobody has resumed it since.
    """

    times: int
    approvals: Sequence[PendingApproval]
    decided: Mapping[str, Decision]
    items: Sequence[Item]
    is_late: bool
    is_parked: bool

    @property
    def pending(self) -> list[PendingApproval]:
        """What is not decided."""
        return [one for one in self.approvals if one.id not in self.decided]


class Stored:
    """The turns and items of one principal's sessions; `Gateway.stored` makes it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runtime = session.runtime

    async def ended(self, session_id: str, turn_id: str) -> EndedTurn | None:
        """The turn, if it has ended and the history still has it, however long ago."""
        return await ended_turn(self._runtime, session_id, turn_id)

    async def times_parked(self, session_id: str, turn_id: str) -> int:
        """How often the turn was parked so far, as far as it is known."""
        return await times_parked(self._runtime, session_id, turn_id)

    async def parking(self, session_id: str, turn_id: str) -> Parking | None:
        """How the turn was parked last; None if it never was, has ended or failed for good.

        Raises:
            UndecodableJournal: Another version parked it.
        """
        names = session_id, turn_id
        status = await self._runtime.store.status(*names)
        if not isinstance(status, Parked | Running):
            return None  # the journal of one that failed for good is its dead letter
        journal = await self._runtime.store.open_journal(*names)
        stored = [] if isinstance(journal, Absent) else journal
        entries = read_parked(self._runtime.codec, *names, stored)
        if not entries:
            return None
        parked = ParkedTurn.in_journal(*names, entries)
        return _parking(parked, is_parked=isinstance(status, Parked))

    async def last_turns(self, session_id: str, count: int) -> list[PastTurn]:
        """The last `count` turns of the history, the oldest first."""
        return await self._session.history(session_id, limit=count) or []

    def events_so_far(self, session_id: str, turn_id: str) -> AsyncIterator[tuple[str, Event]]:
        """The turn's events that were published, without waiting for more."""
        return events_so_far(self._runtime, session_id, turn_id)

    async def items(self, session_id: str) -> list[Item]:
        """All items, the oldest first, as they are stored."""
        found: list[Item] = await self._runtime.reader.items(session_id, None, raw=True)
        return found

    async def items_before(self, session_id: str, turn_id: str) -> list[Item]:
        """The items before those of a turn; all of them if the history does not have the turn."""
        return await items_before(self._runtime, session_id, turn_id)

    async def add_items(self, session_id: str, items: list[Item]) -> None:
        """Add items at the end: see `Session.add_items`."""
        await self._session.bind(session_id).add_items(items)  # type: ignore[arg-type]  # JSON

    async def add_turn(
        self, session_id: str, turn_id: str | None, items: list[Item], *, replaces: bool = False
    ) -> None:
        """Commit a turn that adds these items, or none; once for each turn_id.

        Args:
            session_id: The session; it is created if there is none.
            turn_id: Names the turn; None for a new one.
            items: What it adds.
            replaces: Whether they take the place of all that there is.
        """
        try:
            async with self._session.turn(session_id, turn_id=turn_id) as turn:
                if replaces:
                    await turn.clear_session()
                await turn.add_items(items)  # type: ignore[arg-type]  # JSON
        except AlreadyCommitted:
            pass

    async def remove_item(self, session_id: str, place_in: Callable[[list[Item]], int]) -> None:
        """Remove the item at the place that the function says of all items."""
        await remove_item(self._runtime, session_id, place_in)

    async def begin(self, session_id: str) -> None:
        """Make a session without items, if there is none: so it can expire before it has any.

        If it cannot be made, who puts something into it meets the same.
        """
        await self._runtime.store.append(session_id, _BEGUN, [])

    async def expire(self, session_id: str, ttl_ms: int) -> None:
        """Let the session go after `ttl_ms`, whatever becomes of this process."""
        await self._runtime.store.expire(session_id, ttl_ms)

    async def forget(self, session_id: str) -> None:
        """Delete a session that nobody was to keep, and leave no record of an action."""
        await self._runtime.store.delete(session_id)


def _parking(turn: ParkedTurn, *, is_parked: bool) -> Parking:
    entry, decided = turn.entry, turn.decided
    return Parking(
        times=entry.times or 1,
        approvals=entry.approvals,
        decided={one: decided.on(one)[:2] for one in decided.ids},
        items=entry.items,
        is_late=is_expired(entry),
        is_parked=is_parked,
    )
