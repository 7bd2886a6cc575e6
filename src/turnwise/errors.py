"""Every error that Turnwise raises, as one tree. All are importable from `turnwise`.

    TurnwiseError
    ├── UsageError              the call is wrong, whatever the store holds
    │   ├── UnboundSession
    │   ├── InvalidSessionId
    │   ├── InvalidTurnId
    │   ├── InvalidKeyPrefix
    │   ├── InvalidURL
    │   ├── InvalidTTL
    │   └── InvalidItem
    ├── LimitError              something exceeds its limit; nothing was written
    │   ├── ItemTooLarge
    │   ├── TurnTooLarge
    │   ├── SessionTooLarge
    │   └── QueueFull
    ├── StoreError              the store failed, or holds something unexpected
    │   ├── StoreUnavailable
    │   │   └── OutcomeUnknown
    │   ├── StoreRefused
    │   ├── NotASession
    │   ├── SessionExists
    │   ├── NewerFormat
    │   ├── UndecodableItem
    │   └── UndecodableJournal
    ├── MessageError            a worker cannot run a queued message
    │   ├── UnknownAgent
    │   ├── UnreadableMessage
    │   └── WorkersDied
    └── TurnError               a turn could not begin or could not be committed
        ├── SessionBusy
        │   └── BusyTimeout
        ├── ApprovalPending
        ├── SessionStopped
        ├── SessionTaken
        ├── NoPendingApproval
        ├── NotResumable
        ├── AlreadyCommitted
        ├── TurnIdReused
        ├── TurnAbandoned
        ├── TurnCancelled
        ├── DeadLettered
        ├── StreamIdle
        ├── LeaseLost
        ├── HistoryChanged
        ├── ReplayMismatch
        └── SessionGone

Each message says what happened, to which session, and what to do about it.
"""

from __future__ import annotations

from typing import Any

from turnwise.printable import printable


class TurnwiseError(Exception):
    """The root of all errors that Turnwise raises.

    Its text is one printable line of bounded length, whatever ids and names it quotes.

    Attributes:
        session_id: The session concerned; None if the error concerns no single session.
        message: The text without the session's name.
    """

    def __init__(self, message: str, *, session_id: str | None = None) -> None:
        named = message if session_id is None else f"session {session_id!r}: {message}"
        super().__init__(printable(named))
        self.session_id = session_id
        self.message = message


class UsageError(TurnwiseError, ValueError):
    """The call is wrong, whatever the store holds. Correct the call."""


class UnboundSession(UsageError):
    """This object stands for all sessions. Name one: `bind(session_id)` or `session_id=`."""


class InvalidSessionId(UsageError):
    """The session id is invalid. Use a non-empty string of at most 512 bytes in UTF-8."""


class InvalidTurnId(UsageError):
    """The turn id is invalid. Use a non-empty string of at most 256 bytes in UTF-8."""


class InvalidKeyPrefix(UsageError):
    """The key prefix holds a brace, which would break the key's slot in a cluster. Remove it."""


class InvalidURL(UsageError):
    """The URL names no known kind of store, or lacks a part that this kind needs. See `connect`."""


class InvalidTTL(UsageError):
    """The time to live is invalid. Use a number of seconds above 0, or None for no expiry."""


class InvalidItem(UsageError, TypeError):
    """The item is not a JSON object. Use a dict with string keys and JSON values."""


class LimitError(TurnwiseError):
    """Something exceeds its limit; nothing was written. Make it smaller, or raise the limit."""


class ItemTooLarge(LimitError):
    """One item exceeds `max_item_bytes`."""


class TurnTooLarge(LimitError):
    """The items of one turn together exceed `max_turn_bytes`."""


class SessionTooLarge(LimitError):
    """The turn would make the session exceed `max_session_bytes`. Clear or delete the session."""


class QueueFull(LimitError):
    """The session's queue holds `max_queue` messages and waiting callers. Try again later."""


class StoreError(TurnwiseError):
    """The store failed, or holds something unexpected."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store cannot be reached or does not answer. Try again later."""


class OutcomeUnknown(StoreUnavailable):
    """The store did not acknowledge a write, which may or may not have taken effect.

    Send the same `turn_id` again: it runs only if it was not committed. After a change without a
    turn_id (`add_items`, say), read the history before you make the change again.
    """


class StoreRefused(StoreError):
    """The store refused: no permission, no memory, read-only, of another kind. Fix store or URL."""


class NotASession(StoreError):
    """The key or file holds another application's data and was left unchanged.

    Use another key prefix or file. Sessions of the Agents SDK are brought over as the README says
    ("Coming from the SDK's sessions").
    """


class SessionExists(StoreError):
    """A copy or an import would change a session that has a history of its own."""


class NewerFormat(StoreError):
    """A newer version of Turnwise wrote this session; it was left unchanged. Upgrade Turnwise."""


class UndecodableItem(StoreError):
    """A stored item cannot be decoded. It stays in the history, unchanged.

    Attributes:
        position: The item's index among the stored elements, markers and records included, from 0.
    """

    def __init__(self, message: str, *, session_id: str, position: int) -> None:
        super().__init__(message, session_id=session_id)
        self.position = position


class UndecodableJournal(StoreError):
    """This process cannot decode what earlier attempts left in a turn's journal.

    The journal stays unchanged. Send the turn_id again to a process with the version of Turnwise
    that wrote it, or cancel the turn.

    Attributes:
        turn_id: The turn's id.
    """

    def __init__(self, message: str, *, session_id: str, turn_id: str) -> None:
        super().__init__(message, session_id=session_id)
        self.turn_id = turn_id


class MessageError(TurnwiseError):
    """A worker cannot run a queued message. Such errors are found in dead letters and logs."""


class UnknownAgent(MessageError):
    """The worker knows no agent of the message's name. Start a worker that does, then retry."""


class UnreadableMessage(MessageError):
    """The message is damaged, or another version of Turnwise wrote it. Delete its dead letter."""


class WorkersDied(MessageError):
    """Workers of the message died or lost their leases, one of them while it ran nothing else."""


class TurnError(TurnwiseError):
    """A turn could not begin or could not be committed."""


class SessionBusy(TurnError):
    """Another turn runs on the session, or is next in its queue. Try again later, or wait."""


class BusyTimeout(SessionBusy, TimeoutError):
    """The session stayed busy for the whole `timeout`. Try again later, or wait longer."""


class SessionStopped(TurnError):
    """The session is stopped at a message that failed; retry or delete its dead letter."""


class ApprovalPending(TurnError):
    """The session's open turn is parked until its approvals are decided: resume or cancel it."""


class SessionTaken(TurnError):
    """There is a session of this id that is not this owner's; nothing was written.

    Use another id. Who may only use the sessions of one owner learns of the others' in this way
    only: see `Session.for_owner`.
    """


class NoPendingApproval(TurnError):
    """There is no such pending approval: it never existed, or it was decided before."""


class NotResumable(TurnError):
    """The parked turn cannot resume with this agent or this version of the SDK; it stays parked.

    Resume it with the agents, tools and SDK version that it was parked with, or cancel it.
    """


class AlreadyCommitted(TurnError):
    """A turn with this `turn_id` is part of the history already; it did not run again.

    Attributes:
        turn_id: The turn's id.
        items: What that turn added, oldest first.
        committed_at: When it was committed, in POSIX seconds of the store's clock.
        payload: What was recorded beside the items; opaque.
        end: The position behind the turn's elements in the stored history.
    """

    def __init__(
        self,
        message: str,
        *,
        session_id: str,
        turn_id: str,
        items: list[Any],
        committed_at: float,
        payload: bytes = b"",
        end: int = 0,
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.turn_id = turn_id
        self.items = items
        self.committed_at = committed_at
        self.payload = payload
        self.end = end


class TurnIdReused(TurnError):
    """The turn with this `turn_id` has another input, agent or metadata. Use another turn_id."""


class TurnAbandoned(TurnError):
    """The turn with this `turn_id` died unfinished and was abandoned so that others could go on.

    Nothing of it is in the history. Send its input again under another turn_id.
    """


class TurnCancelled(TurnError):
    """The turn was cancelled on request.

    The history is as before the turn or, if `kept`, includes what the turn had finished.

    Attributes:
        kept: Whether finished work was committed (`busy="interrupt"`).
        running_tools: Tools that may still run; their results are discarded.
        reason: The first cancel request's reason; None if it gave none.
    """

    def __init__(
        self,
        message: str,
        *,
        session_id: str,
        kept: bool = False,
        running_tools: tuple[str, ...] = (),
        reason: str | None = None,
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.kept = kept
        self.running_tools = running_tools
        self.reason = reason


class DeadLettered(TurnError):
    """The turn's message failed for good and is a dead letter. Retry or delete the dead letter.

    Attributes:
        dead_letter_id: The id of the dead letter; "" if unknown.
        reason: The last error; "" if unknown.
    """

    def __init__(
        self, message: str, *, session_id: str, dead_letter_id: str = "", reason: str = ""
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.dead_letter_id = dead_letter_id
        self.reason = reason


class StreamIdle(TurnError):
    """The reader of a stream took no event for too long: as far as its turn goes, it has gone.

    Read faster, or raise `stream_idle_timeout`.
    """


class LeaseLost(TurnError):
    """This worker lost its lease on the session, so the turn was not committed here.

    Send the same `turn_id` again.
    """


class HistoryChanged(TurnError):
    """The history changed since this change was prepared; nothing was written. Try again."""


class ReplayMismatch(TurnError):
    """After a takeover the run did not repeat what its journal holds; the turn was rolled back.

    A turn that had been parked is parked again instead: resume it with the code that it was parked
    with, or cancel it.

    Attributes:
        tools: Tools that had run and may not run again, in alphabetical order.
    """

    def __init__(self, message: str, *, session_id: str, tools: list[str]) -> None:
        super().__init__(message, session_id=session_id)
        self.tools = tools


class SessionGone(TurnError):
    """The session was deleted or expired during the turn, which was not committed."""
