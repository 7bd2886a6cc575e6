"""From the store's refusals to the errors that say what to do about them."""

from __future__ import annotations

from turnwise.errors import (
    ApprovalPending,
    DeadLettered,
    HistoryChanged,
    LeaseLost,
    NoPendingApproval,
    OutcomeUnknown,
    QueueFull,
    SessionBusy,
    SessionGone,
    SessionTooLarge,
    StoreUnavailable,
    TurnAbandoned,
    TurnCancelled,
    TurnError,
    TurnwiseError,
)
from turnwise.turns.stopped import reason_in, running_tools
from turnwise.types import Busy, Duplicate, Parked, Queued, Stale


def shown(error: BaseException) -> str:
    """What the log says of it: errors that are not ours may quote what nobody is to read there."""
    return str(error) if isinstance(error, TurnwiseError) else type(error).__name__


def busy(session_id: str, answer: Busy | Queued) -> SessionBusy:
    if isinstance(answer, Queued) and not answer.worker:
        return SessionBusy(
            f"turn {answer.turn_id!r} waits in its queue as a submitted message already; wait for "
            "the result of that, or choose another turn_id",
            session_id=session_id,
        )
    return SessionBusy(
        f"{holder(answer)}. Send it again later, or wait in line with busy='wait'",
        session_id=session_id,
    )


def holder(answer: Busy | Queued) -> str:
    if not answer.worker:
        return f"turn {answer.turn_id!r} is a message that a worker has still to answer"
    seconds = max(0, answer.remaining_ms) / 1000
    return (
        f"turn {answer.turn_id!r} of worker {answer.worker!r} holds it, with {seconds:.1f} s left "
        "of a lease that it may renew"
    )


def waiting(session_id: str, answer: Parked) -> ApprovalPending:
    return ApprovalPending(
        f"turn {answer.turn_id!r} waits for an approval, or was given one by a worker that died. "
        "Runner.resume goes on with it (session.pending_approvals() tells what is still to be "
        "decided; if "
        "nothing is, resume it without decisions), session.cancel gives it up. If the session was "
        "stopped at a message that failed, session.stopped_sessions() has its letter: retry or "
        "drop it",
        session_id=session_id,
    )


def nothing_waits(session_id: str) -> NoPendingApproval:
    return NoPendingApproval(
        "nothing waits for an approval, or not any more", session_id=session_id
    )


def queue_full(session_id: str, limit: int) -> QueueFull:
    return QueueFull(
        f"{limit} messages and callers wait in its queue already; send it again later",
        session_id=session_id,
    )


def session_too_large(session_id: str, limit: int) -> SessionTooLarge:
    return SessionTooLarge(
        f"its history would grow over max_session_bytes={limit}; nothing was written. Clear or "
        "compact it, start another session, or raise the bound",
        session_id=session_id,
    )


def unfinished(session_id: str, turn_id: str, answer: Duplicate) -> TurnError | None:
    """The error for a turn_id that was given up; None if it was committed."""
    kind = answer.record.kind if answer.record else None
    if kind == "abandoned":
        return TurnAbandoned(
            f"turn {turn_id!r} died half done and was given up for the turns behind it; some of "
            "its tools may have run. Send the message with a new turn_id if it is still wanted",
            session_id=session_id,
        )
    if kind == "cancelled" and answer.record is not None:
        payload, kept = answer.record.payload, answer.record.items > 0
        error = cancelled(session_id, turn_id, kept=kept, reason=reason_in(payload))
        error.running_tools = running_tools(payload) or ()
        return error
    if kind == "dead" and answer.record is not None:
        return DeadLettered(
            f"the message of turn {turn_id!r} was given up. Retry its dead letter, or send the "
            "message with a new turn_id",
            session_id=session_id,
            dead_letter_id=answer.record.payload.decode(),
        )
    return None


def cancelled(session_id: str, turn_id: str, *, kept: bool, reason: str | None) -> TurnCancelled:
    left = "holds what it had finished" if kept else "is as it was before it"
    why = "" if reason is None else f" ({reason})"
    return TurnCancelled(
        f"turn {turn_id!r} was cancelled on request{why}; history {left}",
        session_id=session_id,
        kept=kept,
        reason=reason,
    )


def not_ours(session_id: str, turn_id: str, incarnation: str, answer: Stale) -> TurnError:
    """The error for a turn whose token, base or session is no longer the store's."""
    if answer.history_changed:
        return HistoryChanged(
            f"its history changed while turn {turn_id!r} ran, so the turn was not committed. Run "
            "it again",
            session_id=session_id,
        )
    if answer.incarnation not in ("", incarnation):
        return gone(session_id, turn_id)
    return LeaseLost(
        f"the lease of turn {turn_id!r} is no longer this worker's: it ran out or was taken over. "
        "What the turn did here was not committed; send it again with the same turn_id",
        session_id=session_id,
    )


def gone(session_id: str, turn_id: str) -> SessionGone:
    return SessionGone(
        f"it was deleted, expired or evicted while turn {turn_id!r} ran, so the turn was not "
        "committed. Run it again to begin the session anew",
        session_id=session_id,
    )


def out_of_touch(session_id: str, turn_id: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the lease of turn {turn_id!r} ran out because the store did not answer for its length, "
        "so the turn was not committed. Check the store, then send it again with the same turn_id",
        session_id=session_id,
    )


def unknown_change(session_id: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the store cannot be reached, or stopped run_attempt before it acknowledged the change, "
        "which may have been made or not. Read the history before you make the change again",
        session_id=session_id,
    )


def unknown_outcome(session_id: str, turn_id: str) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the store stopped run_attempt before it acknowledged the commit of turn {turn_id!r}, "
        "which may be part of the history or not. Send it again with the same turn_id: it runs "
        "only if it is not",
        session_id=session_id,
    )
