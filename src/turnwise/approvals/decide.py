"""Deciding about a parked turn, without running it."""

from __future__ import annotations

from turnwise.approvals.decisions import Decisions
from turnwise.approvals.resume import begin_parked
from turnwise.errors import NoPendingApproval
from turnwise.turns import Runtime, StayParked, end, is_expired
from turnwise.types import PendingApproval


async def decide(
    runtime: Runtime, session_id: str, decisions: Decisions, timeout: float | None
) -> list[PendingApproval]:
    """Journal the decisions; return what is still pending. See `Session.decide`.

    If nothing is pending any more, workers continue the turn, if a message began it.
    """
    resumed = await begin_parked(runtime, session_id, busy="wait", timeout=timeout)
    turn, parked = resumed.turn, resumed.parked
    try:
        if is_expired(parked.entry):
            raise NoPendingApproval(
                "it was not approved within approval_timeout", session_id=session_id
            )
        new = parked.decide(decisions)
        if new is not None:
            await turn.journal.write(new.entry())
        await end(turn, StayParked(len(parked.pending), decided=not parked.pending or None))
    except BaseException as error:
        await end(turn, resumed.failure(error))
        raise
    if turn.lost is not None:
        raise turn.lost
    if not parked.pending and parked.is_of_message:
        await runtime.store.ready.announce(session_id, turn.turn_id)
    return parked.pending
