"""The ends of a turn. The code that runs it hands an `Outcome` over; `end` carries it out.

What comes first here wins:

    it has ended already     nothing is done
    cancel was requested     it ends as requested
    it was lost              nothing of it is committed. A message's turn is released,
                             dead-lettered or stopped all the same; a resumed turn whose code
                             does not fit its journal stays parked
    it is resumed            it stays parked, unless it is committed or parked anew
    anything else            the outcome

Each turn emits one event when it ends. If the caller is cancelled, the end is carried out all the
same: a write that the store may have seen is sent again with the same ids; the rest is shielded.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, assert_never

from turnwise.codec import EncodedTooLarge, EncodeError
from turnwise.errors import (
    HistoryChanged,
    InvalidItem,
    LeaseLost,
    ReplayMismatch,
    StoreError,
    StoreUnavailable,
    TurnCancelled,
    TurnTooLarge,
    TurnwiseError,
)
from turnwise.hooks import (
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnParkedEvent,
    TurnRolledBackEvent,
    TurnStoppedEvent,
)
from turnwise.journal_entries import encode_entry
from turnwise.turns import cancelled, errors
from turnwise.turns.failures import can_continue, failure
from turnwise.turns.ids import mint
from turnwise.turns.outcomes import (
    Cancel,
    Commit,
    DeadLetter,
    Outcome,
    Park,
    Release,
    RollBack,
    StayParked,
    Stop,
)
from turnwise.turns.shielding import is_cancelled, resend_if_cancelled, shielded
from turnwise.turns.turn import Turn
from turnwise.types import Done, Full, Gone, Stale

_TOOLS_GRACE = 0.03
"""Seconds that the tools of a cancelled turn have to end before they are named as running."""
_log = logging.getLogger("turnwise")


async def end(turn: Turn, outcome: Outcome) -> None:
    """End a turn. If it has ended already, only a `Commit` or `Park` that failed is reported.

    Args:
        turn: a turn that this worker holds.
        outcome: how it ends, unless it was lost or is to be cancelled.

    Raises:
        LeaseLost, HistoryChanged, SessionGone, TurnCancelled: the turn was lost, so that it could
            not be committed, parked or dead-lettered.
        SessionTooLarge, TurnTooLarge, StoreRefused: the same. If a retry can continue it, its
            journal stays, or it stays parked; if not, it was rolled back.
        OutcomeUnknown: it is not known whether it was committed or parked.
        StoreError: its message is not a dead letter, or its session not stopped.
    """
    if turn.cancelling is not None:
        await asyncio.wait({turn.cancelling})
    if not turn.ended:
        try:
            await _carry_out(turn, _prevailing(turn, outcome))
        finally:
            if turn.resumed and isinstance(turn.outcome, Commit):
                await turn.runtime.wake_workers(turn.session_id)
    must_succeed = isinstance(outcome, Commit | Park | DeadLetter | Stop)
    if must_succeed and turn.lost is not None and turn.outcome is not outcome:
        raise turn.lost


async def end_interrupted(turn: Turn, outcome: Outcome) -> None:
    """End a turn after one of EXITS, which may have struck at any line of its end.

    What the store was told before changes nothing when it is told again.
    """
    if isinstance(turn.outcome, RollBack | Release | StayParked | None):
        if not turn.ended:
            turn.close()
        turn.lease.stop()
        await _tell_store(turn, _prevailing(turn, outcome))


def _prevailing(turn: Turn, outcome: Outcome) -> Outcome:
    if turn.cancel is not None:
        return turn.cancel
    if turn.lost is None:
        if turn.resumed and isinstance(outcome, RollBack | Release):
            return StayParked(0)
        empty = turn.one_shot and not turn.added_raw and turn.keep is None
        return RollBack() if empty and isinstance(outcome, Commit) else outcome
    if isinstance(outcome, Release | DeadLetter | Stop):
        return outcome
    if turn.resumed and isinstance(turn.lost, ReplayMismatch):
        return outcome if isinstance(outcome, StayParked) else StayParked(0)
    return RollBack(turn.lost)


async def _carry_out(turn: Turn, outcome: Outcome) -> None:
    state = await _state_or_failure(turn, outcome) if isinstance(outcome, Park) else b""
    turn.close()
    await _tell_store(turn, outcome, state)


async def _tell_store(turn: Turn, outcome: Outcome, state: bytes = b"") -> None:
    """Make it so; `state` is a parked turn's."""
    match outcome:
        case Commit():
            await resend_if_cancelled(partial(_commit, turn, outcome, mint()))
        case Park():
            await resend_if_cancelled(partial(_park, turn, outcome, state))
        case DeadLetter() | Stop():
            await resend_if_cancelled(partial(_give_up_message, turn, outcome))
        case RollBack():
            await _give_back(turn, outcome, partial(_abort, turn))
        case Release() | StayParked():
            failed = outcome.reason is not None and not is_cancelled(outcome.reason)
            await _give_back(turn, outcome, partial(_release, turn, outcome, failed))
        case Cancel():
            await shielded(partial(cancel, turn, mint()))
        case _:
            assert_never(outcome)


# Ends that the store must confirm.


async def _commit(turn: Turn, outcome: Commit, commit_id: str) -> None:
    elements: list[bytes] = []
    if outcome.error is not None and isinstance(turn.replay, cancelled.Work):
        await turn.replay.quiet(_TOOLS_GRACE)
        turn.added_raw = _finished_raw(turn, failed=True)
        turn.changes += 1

    async def commit() -> Done | Stale | Gone | Full:
        elements.extend(map(turn.runtime.codec.pack, turn.added_raw))
        if turn.keep is not None:
            turn.runtime.reader.cache.drop(turn.session_id)
        return await turn.runtime.store.commit(
            turn.session_id,
            turn.turn_id,
            turn.token,
            turn.grant.tip,
            commit_id,
            elements,
            keep=turn.keep,
            payload=outcome.payload,
            usage=turn.usage,
        )

    answer = await _confirmed(turn, commit)
    if turn.keep is None:
        turn.remember(answer.tip)
    size = sum(map(len, elements))
    turn.outcome = outcome
    turn.emit_end(TurnCommittedEvent(*turn.names, len(elements), size, turn.seconds))


async def _park(turn: Turn, outcome: Park, state: bytes) -> None:
    park = partial(turn.runtime.store.park, *turn.names, turn.token, state)
    await _confirmed(turn, park)
    turn.outcome = outcome
    turn.emit_end(
        TurnParkedEvent(*turn.names, len(outcome.entry.approvals), len(state), turn.seconds)
    )


async def _state_or_failure(turn: Turn, outcome: Park) -> bytes:
    try:
        return _parked_state(turn, outcome)
    except Exception as error:
        await _carry_out(turn, _prevailing(turn, failure(turn, error)))
        raise


def _parked_state(turn: Turn, outcome: Park) -> bytes:
    """The entry as it is stored. Raises TurnTooLarge, InvalidItem."""
    limit = turn.runtime.settings.max_turn_bytes
    try:
        state = encode_entry(turn.runtime.codec, outcome.entry)
    except EncodedTooLarge as error:
        raise _too_large(
            turn, f"{error.size} bytes, over {error.limit}, the most that is readable"
        ) from None
    except EncodeError as error:
        raise InvalidItem(
            f"turn {turn.turn_id!r} cannot be parked: its state is not JSON ({error})",
            session_id=turn.session_id,
        ) from None
    if len(state) > limit:
        raise _too_large(turn, f"{len(state)} bytes, over max_turn_bytes={limit}")
    return state


def _too_large(turn: Turn, size: str) -> TurnTooLarge:
    return TurnTooLarge(
        f"turn {turn.turn_id!r} cannot be parked: its state takes {size}",
        session_id=turn.session_id,
    )


async def _confirmed(
    turn: Turn, write: Callable[[], Awaitable[Done | Stale | Gone | Full]]
) -> Done:
    """The answer of a write that ends the turn. Raises what kept it from being done."""
    await turn.lease.stopped()
    try:
        answer = await write()
    except StoreUnavailable as error:
        unknown = errors.unknown_outcome(*turn.names, error)
        turn.emit_lost(unknown)
        raise unknown from error
    except StoreError as error:
        await _refused(turn, error)
        raise
    except Exception as error:  # unforeseen; nobody renews the lease any more
        turn.runtime.reader.cache.drop(turn.session_id)
        await turn.runtime.release(*turn.names, turn.token)
        turn.emit_lost(error)
        raise
    if isinstance(answer, Done):
        return answer
    turn.runtime.reader.cache.drop(turn.session_id)
    if isinstance(answer, Full):
        raise await _refused(turn, errors.session_too_large(turn.session_id, answer.limit))
    lost = await turn.why_lost(answer)
    if isinstance(lost, HistoryChanged):
        await _abort(turn)
    turn.emit_lost(lost)
    raise lost


async def _refused(turn: Turn, error: TurnwiseError) -> TurnwiseError:
    """The store refused the write: nothing of the turn is in the history. A retry continues it."""
    if can_continue(turn):
        await turn.runtime.release(*turn.names, turn.token, counted=not turn.resumed)
    else:
        await _abort(turn)
    _emit_rolled_back(turn, error)
    return error


async def _give_up_message(turn: Turn, outcome: DeadLetter | Stop) -> None:
    await turn.lease.stopped()
    store = turn.runtime.store
    verb = store.stop if isinstance(outcome, Stop) else store.dead_letter
    try:
        answer = await verb(*turn.names, turn.token, outcome.letter)
    except Exception as error:
        turn.emit_lost(error)
        raise
    turn.runtime.reader.cache.drop(turn.session_id)
    if not isinstance(answer, Done):
        lost = await turn.why_lost(answer)
        turn.emit_lost(lost)
        raise lost
    turn.outcome = outcome
    event = TurnStoppedEvent if isinstance(outcome, Stop) else TurnDeadLetteredEvent
    turn.emit_end(event(*turn.names, outcome.attempts, outcome.reason, turn.seconds))


# Ends that need no answer: if the store gives none, the lease runs out.


async def _give_back(
    turn: Turn,
    outcome: RollBack | Release | StayParked,
    call: Callable[[], Coroutine[Any, Any, None]],
) -> None:
    try:
        await shielded(call)
    finally:
        turn.outcome = outcome
        if turn.lost is not None:
            turn.emit_lost(turn.lost)
        elif isinstance(outcome, StayParked):
            turn.emit_end(TurnParkedEvent(*turn.names, outcome.pending, 0, turn.seconds))
        else:
            _emit_rolled_back(turn, outcome.reason)


async def _abort(turn: Turn) -> None:
    await turn.lease.stopped()
    nothing_held = isinstance(turn.lost, LeaseLost | TurnCancelled | StoreUnavailable)
    if not nothing_held:
        await turn.runtime.abort(*turn.names, turn.token)


async def _release(turn: Turn, outcome: Release | StayParked, failed: bool) -> None:
    await turn.lease.stopped()
    error, work = outcome.reason, turn.replay
    own = failed and not isinstance(error, StoreError) and turn.lost is None
    if error is not None and own and isinstance(work, cancelled.Work):
        await work.attempt_failed(error)
    how: dict[str, Any] = {"counted": False, "decided": None}
    if isinstance(outcome, Release):
        how |= {"counted": outcome.counted, "delay": outcome.delay}
    else:
        how |= {"decided": outcome.decided}
    await turn.runtime.release(*turn.names, turn.token, **how)


def _emit_rolled_back(turn: Turn, reason: BaseException | None) -> None:
    name = "" if reason is None else type(reason).__name__
    turn.emit_end(TurnRolledBackEvent(*turn.names, name, turn.seconds))


# The end that a cancel requested.


async def cancel(turn: Turn, commit_id: str | None = None) -> None:
    """End a turn that was closed, as its cancel request says. Never raises.

    "keep" commits what it has finished. Either way its record says that it was cancelled. It is
    safe to call again with the same `commit_id`; None for a new one.
    """
    await turn.lease.stopped()
    assert turn.cancel is not None
    running: list[str] = []
    if isinstance(turn.replay, cancelled.Work):
        await turn.replay.quiet(_TOOLS_GRACE)
        running = turn.replay.running_tools()
    if isinstance(turn.lost, TurnCancelled):
        turn.lost.running_tools = tuple(running)
    payload = cancelled.record_payload(running, turn.cancel.reason)
    commit = partial(_commit_cancelled, turn, turn.cancel, payload, commit_id or mint())
    raw = _finished_raw(turn) if turn.cancel.mode == "keep" else []
    try:
        async with asyncio.timeout(turn.runtime.settings.lease):
            answer = await commit(raw)
            if isinstance(answer, Full):
                _log.warning(
                    "cancelled turn %r keeps nothing: session %r is too large", *turn.names[::-1]
                )
                answer = await commit([])
    except Exception as error:
        _log.warning(
            "cancelled turn %r of session %r stays open until its lease expires: %s",
            *turn.names[::-1],
            errors.shown(error),
        )
        answer = Stale()
    if not isinstance(answer, Done) and turn.lost is not None:
        turn.runtime.reader.cache.drop(turn.session_id)
        turn.emit_lost(turn.lost)
    elif turn.resumed:
        await turn.runtime.wake_workers(turn.session_id)


async def _commit_cancelled(
    turn: Turn, outcome: Cancel, payload: bytes, commit_id: str, raw: list[bytes]
) -> Done | Stale | Gone | Full:
    elements = list(map(turn.runtime.codec.pack, raw))
    keep = turn.keep if outcome.mode == "keep" else None
    answer = await turn.runtime.store.commit(
        *turn.names,
        turn.token,
        turn.grant.tip,
        commit_id,
        elements,
        keep=keep,
        payload=payload,
        kind="cancelled",
        usage=turn.usage,
    )
    if isinstance(answer, Done):
        turn.added_raw = raw
        if keep is not None:
            turn.runtime.reader.cache.drop(turn.session_id)
        else:
            turn.remember(answer.tip)
        turn.outcome = outcome
        size, reason = sum(map(len, elements)), outcome.reason or ""
        turn.emit_end(TurnCancelledEvent(*turn.names, len(elements), size, turn.seconds, reason))
    return answer


def _finished_raw(turn: Turn, *, failed: bool = False) -> list[bytes]:
    """What the turn has finished, raw."""
    try:
        finished = cancelled.finished(turn.added(), turn.replay, failed=failed)
        return turn.runtime.raw(turn.session_id, finished)
    except Exception:
        if failed:
            return turn.added_raw
        _log.exception("what cancelled turn %r had finished is not kept", turn.turn_id)
        return []
