"""The errors for the store's refusals: what happened, and what to do about it."""

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
    SessionStopped,
    SessionTaken,
    SessionTooLarge,
    StoreUnavailable,
    TurnAbandoned,
    TurnCancelled,
    TurnError,
    TurnwiseError,
)
from turnwise.turns.cancelled import reason_in, running_tools
from turnwise.types import Busy, Duplicate, Parked, Queued, Stale, Stopped


def shown(error: BaseException) -> str:
    """The error as the log shows it: one that is not ours may quote content, so only its name."""
    return str(error) if isinstance(error, TurnwiseError) else type(error).__name__


# A turn does not begin.


def busy(session_id: str, answer: Busy | Queued) -> SessionBusy:
    if isinstance(answer, Queued) and not answer.worker:
        return SessionBusy(
            f"a message with turn_id {answer.turn_id!r} is in its queue already. Wait for its "
            "result, or use another turn_id",
            session_id=session_id,
        )
    return SessionBusy(
        f"it is busy: {holder(answer)}. Send it again later, or wait in the queue with busy='wait'",
        session_id=session_id,
    )


def holder(answer: Busy | Queued) -> str:
    """Who holds a busy session."""
    if not answer.worker:
        return f"message {answer.turn_id!r} waits for a worker"
    seconds = max(0, answer.remaining_ms) / 1000
    return (
        f"turn {answer.turn_id!r} runs on worker {answer.worker!r}; its lease expires in "
        f"{seconds:.1f} s unless renewed"
    )


def suspended(session_id: str, answer: Parked | Stopped) -> ApprovalPending | SessionStopped:
    if isinstance(answer, Stopped):
        return SessionStopped(
            f"it is stopped at turn {answer.turn_id!r}, whose message failed for good. "
            "session.stopped_sessions() has its dead letter: session.retry_dead_letter tries the "
            "message again, session.delete_dead_letter or session.cancel gives it up",
            session_id=session_id,
        )
    return ApprovalPending(
        f"turn {answer.turn_id!r} is parked until its approvals are decided. "
        "session.pending_approvals() lists them; Runner.resume takes the decisions, and resumes "
        "the turn without any if none is pending (its worker died); session.cancel ends it",
        session_id=session_id,
    )


def nothing_parked(session_id: str) -> NoPendingApproval:
    return NoPendingApproval("it has no parked turn", session_id=session_id)


def taken(session_id: str) -> SessionTaken:
    return SessionTaken(
        "there is a session of this id that is not this owner's; nothing was written. Use another "
        "id",
        session_id=session_id,
    )


def queue_full(session_id: str, limit: int) -> QueueFull:
    return QueueFull(
        f"its queue is full: {limit} messages and callers wait in it. Send it again later",
        session_id=session_id,
    )


def finished(session_id: str, turn_id: str, answer: Duplicate) -> TurnError | None:
    """The error for a turn_id that is finished and was not committed; None if it was."""
    record = answer.record
    if record is None:
        return None
    if record.kind == "abandoned":
        return TurnAbandoned(
            f"turn {turn_id!r} died unfinished and was abandoned so that others could go on; some "
            "of its tools may have run. Send its input with a new turn_id if it is still wanted",
            session_id=session_id,
        )
    if record.kind == "cancelled":
        reason = reason_in(record.payload)
        error = cancelled(session_id, turn_id, kept=record.items > 0, reason=reason)
        error.running_tools = running_tools(record.payload) or ()
        return error
    if record.kind == "dead":
        return DeadLettered(
            f"the message of turn {turn_id!r} failed for good. Retry its dead letter, or send the "
            "message with a new turn_id",
            session_id=session_id,
            dead_letter_id=record.payload.decode(),
        )
    return None


# A turn cannot be committed.


def cancelled(session_id: str, turn_id: str, *, kept: bool, reason: str | None) -> TurnCancelled:
    why = "" if reason is None else f" ({reason})"
    what = "What it had finished is in the history" if kept else "The history is as before it"
    return TurnCancelled(
        f"turn {turn_id!r} was cancelled on request{why}. {what}",
        session_id=session_id,
        kept=kept,
        reason=reason,
    )


def lost(session_id: str, turn_id: str, incarnation: str, answer: Stale) -> TurnError:
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
        f"this worker lost the lease of turn {turn_id!r}: it expired, or another worker took the "
        "turn over. Nothing was committed here. Send it again with the same turn_id",
        session_id=session_id,
    )


def gone(session_id: str, turn_id: str) -> SessionGone:
    return SessionGone(
        f"it was deleted, expired or evicted while turn {turn_id!r} ran, so the turn was not "
        "committed. Run it again to create the session anew",
        session_id=session_id,
    )


def store_unreachable(session_id: str, turn_id: str) -> StoreUnavailable:
    return StoreUnavailable(
        f"the lease of turn {turn_id!r} expired because the store did not answer in time, so the "
        "turn was not committed. Check the store, then send it again with the same turn_id",
        session_id=session_id,
    )


def session_too_large(session_id: str, limit: int) -> SessionTooLarge:
    return SessionTooLarge(
        f"its history would exceed max_session_bytes={limit}; nothing was written. Clear or "
        "compact it, start another session, or raise the limit",
        session_id=session_id,
    )


def unknown_change(session_id: str, error: StoreUnavailable) -> OutcomeUnknown:
    return OutcomeUnknown(
        "the store did not acknowledge the change, which may or may not have been made: "
        f"{error.message}. Read the history before you make the change again",
        session_id=session_id,
    )


def unknown_outcome(session_id: str, turn_id: str, error: StoreUnavailable) -> OutcomeUnknown:
    return OutcomeUnknown(
        f"the store did not acknowledge the end of turn {turn_id!r}, which may or may not be part "
        f"of the history: {error.message}. Send the turn again with the same turn_id: it runs only "
        "if it is not",
        session_id=session_id,
    )
