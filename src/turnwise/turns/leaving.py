"""A turn that cannot go on here, and whose sender may send it again: what it finished is kept."""

from __future__ import annotations

import asyncio

from turnwise.errors import StoreRefused, StoreUnavailable, UndecodableJournal
from turnwise.hooks import TurnRolledBackEvent
from turnwise.turns.shielding import shielded
from turnwise.turns.turn import Turn


def may_go_on(turn: Turn, error: BaseException) -> bool:
    """Whether a retry of its turn_id is to go on where it has come to.

    So it is if the turn did nothing wrong: its store failed it, its sender was cancelled, or what
    it had done before is for another version of Turnwise to read. Of a turn with an id of our own
    nobody can send the like again, and without a journal there is nothing to go on with.
    """
    outside = asyncio.CancelledError, StoreUnavailable, StoreRefused, UndecodableJournal
    is_outside = isinstance(error, outside)
    return is_outside and turn.lost is None and not turn.is_one_shot and turn.journal.was_used


async def leave(turn: Turn, reason: BaseException) -> None:
    """End it here as if its worker had died this moment: history is as before. Never raises."""
    if turn.ended:
        return
    turn.end_here()
    await shielded(_leave(turn))
    turn.runtime.emit(
        TurnRolledBackEvent(turn.session_id, turn.turn_id, type(reason).__name__, turn.seconds)
    )


async def _leave(turn: Turn) -> None:
    await turn.quiet()
    await turn.runtime.release(turn.session_id, turn.turn_id, turn.token)
