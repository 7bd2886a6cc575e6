"""Frozen values that cross the layers: what a store is told and what it answers.

Positions count elements of the stored history from 0, markers and records included.
Times are the store's, in milliseconds since the epoch; lengths of time are milliseconds too.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

RecordKind = Literal["turn", "append", "pop", "clear", "replace", "abandoned", "cancelled", "dead"]
CancelMode = Literal["keep", "drop"]
"""What a turn that is asked to stop shall do with what it has finished."""


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
    finished. `released` of them ended in good order, and count against no bound. `history` is what
    is new since the caller's base; None says *reload*: too much is new for one answer, so `read` it
    (`tip` and `items` name what to expect). `message` is the queued message that this turn answers,
    if it came from the queue; of such a turn `attempt` counts each time that the message was taken.
    `cancelled`: it was asked to stop; `note` is what the first said who asked.
    """

    incarnation: str
    turn_id: str
    attempt: int
    tip: Base
    items: int
    history: History | None
    journal: list[bytes]
    cancelled: CancelMode | None = None
    message: bytes | None = None
    released: int = 0
    note: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    """Another turn holds the session, or is next in line, for about `remaining` ms more."""

    worker: str
    turn_id: str
    remaining: int


@dataclass(frozen=True, slots=True)
class Queued:
    """The turn waits in the session's queue: the caller's ticket, or a submitted message.

    To a caller that waits, `worker`, `turn_id` and `remaining` tell for whom, as in `Busy`. To one
    who asks for a message's status, `turn_id` is its own, `position` counts what is before it, and
    `attempts` how often it was taken, those not counted that ended in good order.
    """

    worker: str
    turn_id: str
    remaining: int
    position: int = 0
    attempts: int = 0


@dataclass(frozen=True, slots=True)
class Running:
    """The turn is open: `worker` runs it, for `remaining` ms of its lease; below 0 it is dead.

    `cancelled`: it was asked to stop. `background`: it came from the queue, so another worker takes
    it over when it is dead.
    """

    turn_id: str
    worker: str
    attempt: int
    remaining: int
    cancelled: CancelMode | None
    background: bool


@dataclass(frozen=True, slots=True)
class Parked:
    """The session's open turn, `turn_id`, is parked until it is approved.

    To whoever asks for its status, `journal` is what its journal holds from its state on.
    """

    turn_id: str
    journal: list[bytes] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class PendingApproval:
    """One call of a tool that waits for an approval.

    `id` is Turnwise's own, and names this very call: a model's `call_id` can come twice.
    `arguments` is the text that the model gave.
    """

    id: str
    tool_name: str
    arguments: str
    agent_name: str
    call_id: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A turn with this id is finished, or (without a record) a queued message with other content.

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
    """The lease runs from now on for its full length again. `cancelled`: please stop.

    *keep* asks for a commit of what is finished, *drop* for one without items. `note` is what the
    first said who asked.
    """

    cancelled: CancelMode | None
    note: str = ""


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

    `flagged`: its worker is told, by a wake-up and at its next renewal. `dropped`: it is finished
    as cancelled, because nobody ran it (dead, parked or still queued) or by force. `absent`: no
    such turn is open. `turn_id` is the turn's, `worker` who ran it, as far as that is known.
    `payload` is that of a dropped turn's record.
    """

    outcome: Literal["flagged", "dropped", "absent"]
    turn_id: str = ""
    worker: str = ""
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Cancellation:
    """What became of a turn that a caller wanted to end.

    cancelled   its worker has ended it; `items` of it were kept
    forced      its worker did not do so in time, and can commit nothing any more
    dropped     nobody ran it: it was queued, parked or dead, or cancelled before
    committed   it was part of the history already
    ended       it has ended in another way: rolled back, given up, or deleted with its session
    absent      there is no such turn

    `turn_id` is the turn's, `worker` who ran it, as far as that is known. `running_tools` names
    tools that went on all the same, or may have: async ones that resist, and those in threads.
    Their results are discarded. None where nobody can tell. `reason` is the one that stands in the
    turn's record, which is the first caller's; where the turn ended otherwise, this caller's.
    """

    outcome: Literal["cancelled", "forced", "dropped", "committed", "ended", "absent"]
    turn_id: str = ""
    worker: str = ""
    items: int = 0
    running_tools: tuple[str, ...] | None = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The turn that a session is busy with. `remaining` ms of its lease, below 0 when dead."""

    turn_id: str
    attempt: int
    worker: str
    state: Literal["running", "waiting"]
    remaining: int
    cancelled: CancelMode | None
    background: bool


@dataclass(frozen=True, slots=True)
class Claim:
    """A worker's claim on the news that a session has a message.

    `turn_id` is the announced message's; None says that a message was found waiting already. `age`
    is how old (ms) the news was when it was claimed. `id` is the store's own name for it.
    """

    session_id: str
    turn_id: str | None
    age: int
    id: str


@dataclass(frozen=True, slots=True)
class DeadLetterEntry:
    """A dead letter: a message that no worker is to try again, and why (`content`, opaque).

    `dead`: its turn is finished as dead. `waiting`: it is not, because its worker died between
    letter and record, or because the message was submitted again. `finished`: it was submitted
    again and is done. `unknown`: the session knows nothing of it any more.
    """

    id: str
    session_id: str
    turn_id: str
    at: int
    content: bytes
    state: Literal["dead", "waiting", "finished", "unknown"]


@dataclass(frozen=True, slots=True)
class Event:
    """Something that a running turn told; `id` names its place (text, opaque, of one turn)."""

    id: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Events:
    """What a turn told after the event that a reader named.

    `reset`: that place is gone, or a later attempt began. What the reader has is void then, and
    `events` are all there are. `ended`: nothing comes after these.
    """

    events: list[Event]
    reset: bool = False
    ended: bool = False


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
