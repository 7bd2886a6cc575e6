"""What stores answer on messages, workers and events. Durations and times are in milliseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Late:
    """The message was submitted too long after its announcement. Announce it again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is in the session's queue, with `position` entries before it."""

    position: int


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim on a ready-stream entry: an announcement that a session has a message.

    Attributes:
        session_id: the session.
        turn_id: the announced message's; None if the message was found in its queue.
        age_ms: how old the announcement was when it was claimed.
        id: the store's id of the entry.
    """

    session_id: str
    turn_id: str | None
    age_ms: int
    id: str


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter as it is stored.

    Attributes:
        id: names it.
        session_id, turn_id: whose message it is.
        at_ms: when it was written.
        content: opaque to the store.
        state: "dead": its turn is finished as dead. "queued": it is not; the message was submitted
            again, or the worker that wrote the letter died before it could end the turn.
            "finished": it was submitted again and is done. "unknown": the session does not know the
            turn any more.
    """

    id: str
    session_id: str
    turn_id: str
    at_ms: int
    content: bytes
    state: Literal["dead", "queued", "finished", "unknown"]


@dataclass(frozen=True, slots=True)
class Unclaimed:
    """What is announced and no worker has claimed yet.

    Attributes:
        count: On Redis how many messages; otherwise how many sessions with messages.
        oldest_ms: For how long the oldest waits; None if there is none.
    """

    count: int
    oldest_ms: int | None


@dataclass(frozen=True, slots=True)
class RegistryEntry:
    """A named record as it is stored.

    Attributes:
        name: its name.
        age_ms: how long ago it was written.
        record: opaque to the store.
    """

    name: str
    age_ms: int
    record: bytes


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A record of an operator's action as it is stored.

    Attributes:
        number: 1 for the first one; a later one has a greater number.
        at_ms: when it was written, by the store's clock.
        record: opaque to the store.
    """

    number: int
    at_ms: int
    record: bytes


@dataclass(frozen=True, slots=True)
class Event:
    """One event of a turn's event log. `id` is its cursor: opaque, and of this turn only."""

    id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """The events after a reader's cursor.

    Attributes:
        events: in order.
        reset: the cursor's event is gone, or a later attempt began. What was read before is void,
            and `events` starts from the beginning.
        ended: no event follows these.
    """

    events: list[Event]
    reset: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True)
class QueueEntry:
    """One entry of a session's queue.

    Attributes:
        turn_id: its turn.
        kind: a submitted message, or a caller that waits.
        attempts: how often the message was taken and not given back, also by the worker that runs
            it now.
        waiting_ms: how long ago it came.
        worker: the caller's.
        content: the message; opaque.
    """

    turn_id: str
    kind: Literal["message", "caller"]
    attempts: int
    waiting_ms: int
    worker: str
    content: bytes
