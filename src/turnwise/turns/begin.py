"""Beginning a turn: the lease, and the history that comes with it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from turnwise.errors import (
    ApprovalPending,
    SessionBusy,
    SessionStopped,
    StoreError,
    UndecodableItem,
)
from turnwise.hooks import TurnBegunEvent, TurnRefusedEvent
from turnwise.journal_entries import Entry, read_journal
from turnwise.turns import ends, errors
from turnwise.turns.acquire import BusyPolicy, LeaseRequest
from turnwise.turns.approval_timeout import end_if_expired
from turnwise.turns.ids import check_session_id, check_turn_id, mint
from turnwise.turns.lease import CancelListener
from turnwise.turns.runtime import Runtime
from turnwise.turns.shielding import shielded
from turnwise.turns.turn import Turn
from turnwise.types import Busy, Grant, Idle, Parked, Stale, Stopped, Suspect


async def begin_turn(
    runtime: Runtime,
    session_id: str,
    turn_id: str | None = None,
    *,
    busy: BusyPolicy = "wait",
    timeout: float | None = 30.0,
    resume: bool = False,
    emit_busy: bool = True,
) -> Turn:
    """Begin a turn as soon as the session is free.

    Args:
        runtime: the process's store, codec, cache and settings.
        session_id: the session.
        turn_id: the caller's id for the turn; None for a one-shot turn, which nobody can send
            again.
        busy: what to do while another turn is open; "enqueue" waits without a timeout.
        timeout: seconds to wait in the queue; None waits for ever.
        resume: begin the parked turn of this turn_id.
        emit_busy: emit TurnRefusedEvent if the session is busy, parked or stopped; False if the
            caller then does something else, and so was not refused.

    Returns:
        A turn that this worker holds until `end`.

    Raises:
        SessionBusy, BusyTimeout, ApprovalPending, SessionStopped, QueueFull: the turn did not
            begin.
        AlreadyCommitted, TurnAbandoned, TurnCancelled, DeadLettered: the turn_id is finished.
        NoPendingApproval: there is no parked turn to resume.
        UndecodableItem, UndecodableJournal: the history, or what earlier attempts left, cannot be
            decoded.
        StoreError: the store did not answer, or refused.
    """
    check_session_id(session_id)
    one_shot = turn_id is None
    turn_id = mint() if turn_id is None else check_turn_id(session_id, turn_id)
    cached = runtime.reader.cache.get(session_id)
    request = LeaseRequest(runtime, session_id, turn_id, cached, one_shot=one_shot, resume=resume)
    grant: Grant | None = None
    try:
        grant = await request.granted(busy, timeout)
        # All that can fail comes before the first heartbeat.
        history, snapshot = grant.history, None
        if history is not None:
            snapshot = runtime.reader.absorb(session_id, history, cached)
        entries = read_journal(runtime.codec, session_id, turn_id, grant.journal)
        begun = TurnBegunEvent.of(session_id, grant, request.waited)
        turn = Turn(
            runtime,
            session_id,
            request.token,
            grant,
            snapshot=snapshot,
            entries=entries,
            sent=request.sent,
            cancel_listener=request.cancel_listener,
            end_cancelled=ends.cancel,
            one_shot=one_shot,
            resumed=resume,
        )
        runtime.emit(begun)
        return turn
    except BaseException as error:
        request.cancel_listener.close()
        if grant is not None:
            # Its journal stays; a turn that was parked is parked again.
            names = session_id, turn_id, request.token
            await shielded(partial(runtime.release, *names, counted=not resume))
        if emit_busy or not isinstance(error, SessionBusy | ApprovalPending | SessionStopped):
            reason = type(error).__name__
            runtime.emit(TurnRefusedEvent(session_id, turn_id, reason, request.waited))
        raise


async def next_turn(
    runtime: Runtime, session_id: str, *, alone: bool = False, max_deaths: int | None = None
) -> Turn | Suspect | Busy | Parked | Stopped | Idle:
    """Begin the turn of the session's oldest message, or take it over from a dead worker.

    The message stays in the queue until the turn has ended for good. The caller emits
    `TurnBegunEvent.of(session_id, turn.grant)`, in the trace that the message carries.

    Args:
        runtime: the process's store, codec, cache and settings.
        session_id: the session.
        alone: this process runs no other message meanwhile.
        max_deaths: open no message whose workers died more often; None for any.

    Raises:
        StoreError: the store did not answer, or refused.
    """
    check_session_id(session_id)
    cached = runtime.reader.cache.get(session_id)
    token, sent = mint(), runtime.now()
    base = cached.tip if cached is not None else None
    ask = partial(
        runtime.store.next,
        session_id,
        token,
        runtime.lease_ms,
        base,
        worker=runtime.name,
        alone=alone,
        max_deaths=max_deaths,
    )
    cancel_listener = CancelListener(runtime.store, token)
    try:
        answer = await ask()
        if isinstance(answer, Parked):
            answer = await end_if_expired(runtime, session_id, answer.turn_id) or await ask()
        if isinstance(answer, Stale):
            raise errors.lost(session_id, "", "", answer)
        if not isinstance(answer, Grant):
            cancel_listener.close()
            return answer
        snapshot, entries, open_error = None, list[Entry](), None
        try:
            # Without a snapshot the run reads the history again, and fails. So the message is
            # counted, and dead-lettered in the end, instead of blocking those behind it for ever.
            with suppress(UndecodableItem):
                if answer.history is not None:
                    snapshot = runtime.reader.absorb(session_id, answer.history, cached)
            entries = read_journal(runtime.codec, session_id, answer.turn_id, answer.journal)
        except Exception as error:
            open_error = error
        return Turn(
            runtime,
            session_id,
            token,
            answer,
            snapshot=snapshot,
            entries=entries,
            sent=sent,
            cancel_listener=cancel_listener,
            end_cancelled=ends.cancel,
            open_error=open_error,
        )
    except BaseException as error:
        cancel_listener.close()
        failed = isinstance(error, Exception) and not isinstance(error, StoreError)
        await shielded(partial(_give_back, runtime, session_id, token, ask, failed=failed))
        raise


async def _give_back(
    runtime: Runtime,
    session_id: str,
    token: str,
    ask: Callable[[], Awaitable[Any]],
    *,
    failed: bool,
) -> None:
    """Release the turn, if the lease was granted: a resend with the same token says so.

    `failed`: it counts as an attempt. Not where nobody ran it, or the resend has begun it.
    """
    with suppress(Exception):  # else another worker takes it over when the lease has expired
        answer = await ask()
        if isinstance(answer, Grant):
            await runtime.release(session_id, answer.turn_id, token, counted=failed)
