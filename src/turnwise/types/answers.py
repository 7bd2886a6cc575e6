"""What a store's verbs answer on a session's turns.

A *position* counts elements of the stored history from 0, markers and records included. Durations
are in milliseconds, points in time the store's, in milliseconds since the epoch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from turnwise.types.usage import NO_USAGE, TokenUsage
from turnwise.types.views import CancelMode

RecordKind = Literal["turn", "append", "pop", "clear", "replace", "abandoned", "cancelled", "dead"]


@dataclass(frozen=True, slots=True)
class Base:
    """An exact name for a history: its length in elements, and the commit that it ends with.

    A session without a commit is named by position 0 and its incarnation.
    """

    position: int
    commit_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """How a turn ended: the element behind its marker in the stored history.

    Attributes:
        commit_id: of the commit that ended it.
        at_ms: when it was committed.
        items: how many items the turn added.
        kind: "turn" for a committed one.
        payload: what the committer stored beside the items; opaque to the store.
        attempt, worker: the attempt that ended it, and whose it was; 0 and "" for a change between
            turns.
        usage: what all its attempts consumed, as far as the committer knew.
    """

    commit_id: str
    at_ms: int
    items: int
    kind: RecordKind
    payload: bytes = b""
    attempt: int = 0
    worker: str = ""
    usage: TokenUsage = NO_USAGE


@dataclass(frozen=True, slots=True)
class History:
    """A consistent view of a session's history.

    Attributes:
        incarnation: a random id of the session, from its creation to its deletion.
        tip: names this history.
        items: how many items the whole history has.
        start: the position of the first of `elements`.
        elements: the elements from `start` to the end, markers and records included.
        follows: whether the caller's base is still right, and `elements` are what is new since.
            If not, `start` is 0, or later if only a tail was asked for.
        owner: whose session it is; None if it has no owner.
    """

    incarnation: str
    tip: Base
    items: int
    start: int
    elements: list[bytes]
    follows: bool = False
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such session, or no such turn in it."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The turn is this worker's, for the length of its lease.

    Attributes:
        incarnation: see History.
        turn_id: the turn's.
        attempt: 1 for the first; above 1 this is a takeover. A message's turn counts each time that
            the message was taken.
        tip: names the history that the turn starts from.
        items: how many items that history has.
        history: what is new since the caller's base. None if that is too much for one answer: then
            `read` it.
        journal: what earlier attempts have finished.
        cancel_mode: set if the turn was asked to end.
        message: the submitted message that this turn answers; None for a direct turn.
        released: how many attempts were released, and count as no failure.
        failed: how many attempts failed. Those that were neither released nor failed died.
        died_alone: a worker died that ran no other message.
        cancel_reason: the first reason that was given for a cancel.
        bytes, max_bytes: the size of that history as stored, and what it may be. An end that adds
            items beyond it is *full*.
        owner: whose session it is; None if it has no owner.
    """

    incarnation: str
    turn_id: str
    attempt: int
    tip: Base
    items: int
    history: History | None
    journal: list[bytes]
    cancel_mode: CancelMode | None = None
    message: bytes | None = None
    released: int = 0
    failed: int = 0
    died_alone: bool = False
    cancel_reason: str = ""
    bytes: int = 0
    max_bytes: int = 0
    owner: str | None = None

    @property
    def deaths(self) -> int:
        """How many earlier attempts ended with the death of their workers."""
        return self.attempt - 1 - self.released - self.failed


@dataclass(frozen=True, slots=True)
class Suspect:
    """The workers of message `turn_id` died `deaths` times, more often than the caller accepts."""

    turn_id: str
    deaths: int


@dataclass(frozen=True, slots=True)
class Busy:
    """Turn `turn_id` has the session, or is next in its queue, for about `remaining_ms` more."""

    worker: str
    turn_id: str
    remaining_ms: int


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits in the session's queue, as a caller's ticket or as a submitted message.

    Attributes:
        worker, turn_id, remaining_ms: for a ticket, whom it waits for, as in Busy. For a message,
            `turn_id` is its own and `worker` is "".
        position: how many entries are before the message.
        attempts: how many attempts at the message failed, or died.
        waiting_ms: how long ago the message was submitted.
    """

    worker: str
    turn_id: str
    remaining_ms: int
    position: int = 0
    attempts: int = 0
    waiting_ms: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Running:
    """The turn is open, and `worker` runs it.

    Attributes:
        turn_id, worker, attempt: as in Grant.
        remaining_ms: what is left of its lease; 0 or below, it is dead.
        cancel_mode: set if it was asked to end.
        background: whether it is a message's turn, so that another worker takes it over.
        retry_in_ms: its last attempt failed, and the next one may begin in that time; else 0.
    """

    turn_id: str
    worker: str
    attempt: int
    remaining_ms: int
    cancel_mode: CancelMode | None
    background: bool
    retry_in_ms: int = 0


@dataclass(frozen=True, slots=True)
class Parked:
    """The session's open turn `turn_id` is parked: it waits for approvals.

    `journal` is filled by `status` only: its journal from the parked state on. `expires_in` is
    filled by `next_turn` only: for how many seconds it waits at most.
    """

    turn_id: str
    journal: list[bytes] = field(default_factory=list)
    expires_in: float = math.inf


@dataclass(frozen=True, slots=True)
class Stopped:
    """The session is stopped at its open turn `turn_id`, whose message failed for good.

    `status` also fills in the dead letter that says why, and when it was stopped.
    """

    turn_id: str
    letter: bytes = b""
    at_ms: int = 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The turn is finished; or, without a record, a message of this id with other content waits.

    Attributes:
        record: how it ended.
        elements: the items that it added, as far as the history still has them; the last
            READ_LIMIT of them at most.
        end: the position behind `elements`.
    """

    record: Record | None
    elements: list[bytes] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True, slots=True)
class Idle:
    """No message waits in the session's queue."""


@dataclass(frozen=True, slots=True)
class Done:
    """The verb took effect, now or when it was first sent. `tip` names the history after it."""

    tip: Base


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease runs for its full length again.

    If `cancel_mode` is set, the turn should end: "keep" asks for a commit of what is finished,
    "drop" for one without items. `cancel_reason` is the first reason that was given.
    """

    cancel_mode: CancelMode | None
    cancel_reason: str = ""


@dataclass(frozen=True, slots=True)
class Stale:
    """The caller's token, turn or base is no longer the session's; nothing was written.

    Attributes:
        incarnation: the session's. If it is not the caller's, the session was deleted and created
            again.
        history_changed: token and turn are right, but the history is not the turn's base any more.
    """

    incarnation: str = ""
    history_changed: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The session no longer exists: it was deleted, expired or evicted."""


@dataclass(frozen=True, slots=True)
class Taken:
    """There is a session of this id that is not the caller's; nothing was written."""


@dataclass(frozen=True, slots=True)
class Full:
    """A limit was reached; nothing was written."""

    limit: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What a request to cancel did.

    Attributes:
        outcome: "flagged": the turn's worker is asked to end it, by a wake-up and at its next
            renewal. "dropped": the turn is finished as cancelled; nobody ran it, or it was forced.
            "absent": there is no such turn.
        turn_id: the turn's.
        worker: who runs or ran it; "" if unknown.
        payload: of a dropped turn's record.
    """

    outcome: Literal["flagged", "dropped", "absent"]
    turn_id: str = ""
    worker: str = ""
    payload: bytes = b""
