"""Every error that Turnwise raises, as one tree.

    TurnwiseError
    ├── UsageError              the call cannot be right, whatever the store holds
    │   ├── UnboundSession
    │   ├── InvalidSessionId
    │   ├── InvalidTurnId
    │   ├── InvalidKeyPrefix
    │   ├── InvalidURL
    │   ├── InvalidTTL
    │   └── InvalidItem
    ├── LimitError              something is larger than the bound set for it
    │   ├── ItemTooLarge
    │   ├── TurnTooLarge
    │   ├── SessionTooLarge
    │   └── QueueFull
    ├── StoreError              the store, or what it holds, is not as it must be
    │   ├── StoreUnavailable
    │   │   └── OutcomeUnknown
    │   ├── StoreRefused
    │   ├── NotASession
    │   ├── NewerFormat
    │   ├── UndecodableItem
    │   └── UndecodableJournal
    └── TurnError               a turn could not begin, or could not be committed
        ├── SessionBusy
        │   └── BusyTimeout
        ├── ApprovalPending
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

Each says what happened, to which session, and what to do about it.
"""

from __future__ import annotations

from typing import Any


class TurnwiseError(Exception):
    """The root. `session_id` is the session concerned, or None where there is none."""

    def __init__(self, message: str, *, session_id: str | None = None) -> None:
        super().__init__(message if session_id is None else f"session {session_id!r}: {message}")
        self.session_id = session_id


class UsageError(TurnwiseError, ValueError):
    """The call cannot be right, whatever the store holds."""


class UnboundSession(UsageError):
    """This object stands for all sessions; name one with `bind(session_id)` or `session_id=`."""


class InvalidSessionId(UsageError):
    """A session id is a non-empty text of at most 512 bytes in UTF-8."""


class InvalidTurnId(UsageError):
    """A turn id is a non-empty text of at most 256 bytes in UTF-8."""


class InvalidKeyPrefix(UsageError):
    """A key prefix is a text without braces, which would break the placement in a cluster."""


class InvalidURL(UsageError):
    """The URL names no store that Turnwise knows, or lacks a part that the store needs."""


class InvalidTTL(UsageError):
    """A ttl is a number of seconds above 0, or None."""


class InvalidItem(UsageError, TypeError):
    """An item is a JSON object: a dict of text keys and JSON values."""


class LimitError(TurnwiseError):
    """Something is larger than the bound set for it; nothing was written."""


class ItemTooLarge(LimitError):
    """One item is larger than `max_item_bytes`."""


class TurnTooLarge(LimitError):
    """The items of one turn are together larger than `max_turn_bytes`."""


class SessionTooLarge(LimitError):
    """The session would grow over `max_session_bytes`."""


class QueueFull(LimitError):
    """The session's queue holds as many waiting messages and callers as it may."""


class StoreError(TurnwiseError):
    """The store, or what it holds, is not as it must be."""


class StoreUnavailable(StoreError, ConnectionError):
    """The store cannot be reached or does not answer."""


class OutcomeUnknown(StoreUnavailable):
    """The store stopped run_attempt before it acknowledged; the turn may be committed or not.

    Send the same `turn_id` again: it runs only if it was not committed. After a change without a
    turn_id (`add_items`, say), read the history before making it again.
    """


class StoreRefused(StoreError):
    """The store answered with a refusal: no permission, no memory, read-only disk."""


class NotASession(StoreError):
    """The key holds another application's data; it was left as it is."""


class NewerFormat(StoreError):
    """A newer version of Turnwise wrote this session; it was left as it is."""


class UndecodableItem(StoreError):
    """A stored item cannot be decoded; it stays where it is.

    `position` is its place in the stored history, counted from 0, markers and records included.
    """

    def __init__(self, message: str, *, session_id: str, position: int) -> None:
        super().__init__(message, session_id=session_id)
        self.position = position


class UndecodableJournal(StoreError):
    """What earlier attempts left in a turn's journal cannot be decoded by this process.

    It stays where it is, for the version that wrote it. `turn_id` is the turn's.
    """

    def __init__(self, message: str, *, session_id: str, turn_id: str) -> None:
        super().__init__(message, session_id=session_id)
        self.turn_id = turn_id


class TurnError(TurnwiseError):
    """A turn could not begin, or could not be committed."""


class SessionBusy(TurnError):
    """Another turn runs on the session, or is next in line."""


class BusyTimeout(SessionBusy, TimeoutError):
    """The session stayed busy for as long as the caller was willing to wait."""


class ApprovalPending(TurnError):
    """The session's open turn waits for an approval; nothing may be mixed in."""


class NoPendingApproval(TurnError):
    """What is to be approved or rejected does not wait: it never did, or was decided before."""


class NotResumable(TurnError):
    """The turn that waits cannot go on with this agent or this version of the SDK.

    It was kept parked.
    """


class AlreadyCommitted(TurnError):
    """A turn with this `turn_id` is part of the history already; it did not run again.

    `items` is what that turn added, oldest first; `turn_id` its id; `committed_at` the store's
    time of the commit, in seconds since the epoch; `payload` what was kept beside the items, and
    `end` the position behind them.
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
    """The turn of this `turn_id` had another input, agent or metadata, or is no message's."""


class TurnAbandoned(TurnError):
    """The turn with this `turn_id` died half done and was given up for the turns behind it."""


class TurnCancelled(TurnError):
    """The turn was cancelled on request, from wherever.

    History is as it was before it; or, if it was interrupted (`kept`), holds what the turn had
    finished. `reason` is what the first said who wanted it to end, None if nothing.
    `running_tools` names tools that went on all the same, or may have: their results were
    discarded.
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
    """The message of this turn was given up after its last attempt; it did not become history.

    `dead_letter_id` names its dead letter; `reason` is the last error, as far as that is known.
    """

    def __init__(
        self, message: str, *, session_id: str, dead_letter_id: str = "", reason: str = ""
    ) -> None:
        super().__init__(message, session_id=session_id)
        self.dead_letter_id = dead_letter_id
        self.reason = reason


class StreamIdle(TurnError):
    """A reader held the stream without reading; its turn was cancelled and rolled back."""


class LeaseLost(TurnError):
    """This worker no longer holds the session; what it did in this turn was not committed."""


class HistoryChanged(TurnError):
    """The history is no longer the one this change was made for; nothing was written."""


class ReplayMismatch(TurnError):
    """A turn that was taken over does not go the way it went before; it was rolled back.

    One that had waited for an approval was not: it waits again, for the code of then or a cancel.
    `tools` names those that had run and may not run again, in alphabetical order.
    """

    def __init__(self, message: str, *, session_id: str, tools: list[str]) -> None:
        super().__init__(message, session_id=session_id)
        self.tools = tools


class SessionGone(TurnError):
    """The session was deleted or expired while a turn was running; the turn was not committed."""
