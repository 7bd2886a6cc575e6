"""Opening a turn: the lease, and the history that came with it."""

from __future__ import annotations

from turnwise.cache import HistorySnapshot
from turnwise.errors import ApprovalPending, SessionBusy
from turnwise.hooks import TurnBegunEvent, TurnRefusedEvent
from turnwise.journal_entries import read_journal
from turnwise.turns.acquire import BusyPolicy, LeaseRequest
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import shielded
from turnwise.turns.turn import Turn
from turnwise.types import Grant


async def begin_turn(
    runtime: Runtime,
    session_id: str,
    turn_id: str | None = None,
    *,
    busy: BusyPolicy = "wait",
    timeout: float | None = 30.0,
    resume: bool = False,
) -> Turn:
    """Open a turn as soon as the session is free.

    Args:
        runtime: the process's store, codec, cache and settings.
        session_id: the session.
        turn_id: the caller's id for the turn; None for one that nobody can send again.
        busy: what to do while another turn is open; "enqueue" waits without a timeout.
        timeout: seconds to wait in the queue; None waits for ever.
        resume: take up the parked turn of this turn_id.

    Raises:
        SessionBusy, BusyTimeout, ApprovalPending, QueueFull: the turn did not begin.
        AlreadyCommitted, TurnAbandoned, TurnCancelled: the turn_id is finished.
        NoPendingApproval: there is no parked turn to resume.
        UndecodableItem, UndecodableJournal: the history, or what earlier attempts left of the turn.
        StoreError: the store did not answer, or refused.
    """
    turn = await _opened(runtime, session_id, turn_id, busy, timeout, resume=resume)
    assert turn is not None, "what is in its way was raised"
    return turn


async def begin_turn_if_free(runtime: Runtime, session_id: str, turn_id: str | None) -> Turn | None:
    """Open a turn at once, or return None if one is open or parked, or anybody waits.

    No hook hears of a None: the caller goes another way, and was not refused.
    """
    return await _opened(runtime, session_id, turn_id, "reject", 0.0, or_none=True)


async def _opened(
    runtime: Runtime,
    session_id: str,
    turn_id: str | None,
    busy: BusyPolicy,
    timeout: float | None,
    *,
    resume: bool = False,
    or_none: bool = False,
) -> Turn | None:
    check_session_id(session_id)
    one_shot = turn_id is None
    turn_id = mint() if turn_id is None else check_turn_id(session_id, turn_id)
    cached = runtime.reader.cache.get(session_id)
    request = LeaseRequest(runtime, session_id, turn_id, cached, one_shot=one_shot)
    request.resume = resume
    grant: Grant | None = None
    try:
        grant = await request.granted(busy, timeout)
        return _turn(runtime, session_id, request, grant, cached, one_shot=one_shot)
    except BaseException as error:
        request.cancel_listener.close()
        if grant is not None:
            # What it has in its journal stays, and one that was parked is parked again.
            names = session_id, grant.turn_id, request.token
            await shielded(runtime.release(*names, counted=not resume))
        if or_none and isinstance(error, SessionBusy | ApprovalPending):
            return None
        reason = type(error).__name__
        runtime.emit(TurnRefusedEvent(session_id, turn_id, reason, request.waited))
        raise


def _turn(
    runtime: Runtime,
    session_id: str,
    request: LeaseRequest,
    grant: Grant,
    cached: HistorySnapshot | None,
    *,
    one_shot: bool,
) -> Turn:
    """The turn that was granted, its history and journal decoded before its heartbeat begins."""
    history, past = grant.history, None
    if history is not None:
        past = runtime.reader.absorb(session_id, history, cached)
    entries = read_journal(runtime.codec, session_id, grant.turn_id, grant.journal)
    runtime.emit(TurnBegunEvent.of(session_id, grant, request.waited))
    return Turn(
        runtime,
        session_id,
        request.token,
        grant,
        past=past,
        entries=entries,
        start=request.sent,
        one_shot=one_shot,
        cancel_listener=request.cancel_listener,
    )
