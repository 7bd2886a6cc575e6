"""Frozen values that cross the layers: what a store is told and what it answers.

Positions count elements of the stored history from 0, markers and records included.
Times are the store's, in milliseconds since the epoch; lengths of time are milliseconds too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RecordKind = Literal["turn", "append", "pop", "clear", "replace", "discarded", "cancelled"]


@dataclass(frozen=True, slots=True)
class Base:
    """A history, named exactly: how many elements it has, and the commit that ended it.

    A session without a commit is named by position 0 and its incarnation.
    """

    position: int
    commit_id: str


@dataclass(frozen=True, slots=True)
class Record:
    """What is known of a finished turn: the element that ends it in the stored history.

    `items` counts the items that the turn added, `at` is when it was committed, `payload` is
    what the committer wanted kept beside the items (opaque to the store).
    """

    commit_id: str
    at: int
    items: int
    kind: RecordKind
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class History:
    """A consistent view of a session's history.

    `elements` are those from position `start` up to `tip.position`, markers and records
    included. `follows` says that they follow the caller's base, which was still right; otherwise
    `start` is 0, or later if only a tail was asked for. `items` counts all of the history.
    """

    incarnation: str
    tip: Base
    items: int
    start: int
    elements: list[bytes]
    follows: bool = False


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no such session."""


@dataclass(frozen=True, slots=True)
class Grant:
    """The turn is this worker's, for the length of the lease.

    `attempt` counts from 1; above 1 it is a takeover, and `journal` is what earlier attempts
    finished. `history` is what is new since the caller's base; None says *reload*: too much is
    new for one answer, so `read` it (`tip` and `items` name what to expect).
    `message` is the queued message that this turn answers, if it came from the queue.
    """

    incarnation: str
    turn_id: str
    attempt: int
    tip: Base
    items: int
    history: History | None
    journal: list[bytes]
    cancelled: bool = False
    message: bytes | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """Another turn holds the session, or is next in line, for about `remaining` ms more."""

    worker: str
    turn_id: str
    remaining: int


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits in the session's queue: the caller's ticket, or a submitted message."""

    worker: str
    turn_id: str
    remaining: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """The session's open turn, `turn_id`, is parked until it is approved."""

    turn_id: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A turn with this id is finished, or (without a record) on its way with other content.

    `elements` is what it added and the history still has, at most 256, the last ones; `end` is
    the position behind them.
    """

    record: Record | None
    elements: list[bytes] = field(default_factory=list)
    end: int = 0


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing waits in the session's queue."""


@dataclass(frozen=True, slots=True)
class Done:
    """The verb took effect, now or when it was first sent. `tip` names the history after it."""

    tip: Base


@dataclass(frozen=True, slots=True)
class Renewed:
    """The lease runs from now on for its full length again. `cancelled`: please stop."""

    cancelled: bool


@dataclass(frozen=True, slots=True)
class Stale:
    """The caller's token, turn or base is no longer the session's; nothing was written.

    `incarnation` is the session's present one: if it is another than the caller's, the session
    was deleted and made anew. `moved` says that token and turn fit, but the history changed.
    """

    incarnation: str = ""
    moved: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The session no longer exists: deleted, expired or evicted."""


@dataclass(frozen=True, slots=True)
class Full:
    """A bound was hit (`limit`); nothing was written."""

    limit: int


@dataclass(frozen=True, slots=True)
class Late:
    """The message arrived too long after its intent was announced; announce it again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message waits in the session's queue, `position` messages and callers before it."""

    position: int


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What became of a turn that was asked to stop.

    `flagged`: its worker is told at its next renewal. `dropped`: nobody ran it any more (dead,
    parked or still queued); it is finished as cancelled. `absent`: no such turn is open.
    """

    outcome: Literal["flagged", "dropped", "absent"]


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The turn that a session is busy with. `remaining` ms of its lease, below 0 when dead."""

    turn_id: str
    attempt: int
    worker: str
    state: Literal["running", "waiting"]
    remaining: int
    cancelled: bool
    background: bool


@dataclass(frozen=True, slots=True)
class Info:
    """What an operator wants to know of one session, without its content.

    `bytes` counts stored history elements as they are stored; `ttl` is ms until it expires.
    """

    session_id: str
    incarnation: str
    items: int
    turns: int
    bytes: int
    queued: int
    journal: int
    created: int
    updated: int
    ttl: int | None
    open_turn: OpenTurn | None
