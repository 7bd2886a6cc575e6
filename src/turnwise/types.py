"""Frozen values that cross the layers: what a store answers, and what callers are shown.

A *position* counts elements of the stored history from 0, markers and records included. What only
stores and their callers inside Turnwise see counts in milliseconds, and its name ends in `_ms`;
points in time are the store's, since the epoch. What applications see (Info, OpenTurn) is in
seconds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

RecordKind = Literal["turn", "append", "pop", "clear", "replace", "abandoned", "cancelled", "dead"]
CancelMode = Literal["keep", "drop"]
"""What a cancelled turn does with what it has finished: commit it, or drop it."""


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
    """

    commit_id: str
    at_ms: int
    items: int
    kind: RecordKind
    payload: bytes = b""


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
    """

    incarnation: str
    tip: Base
    items: int
    start: int
    elements: list[bytes]
    follows: bool = False


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
class PendingApproval:
    """One tool call that asks to be approved.

    Attributes:
        id: names this very call; a model's `call_id` can repeat.
        tool_name: the tool.
        arguments: the text that the model gave.
        agent_name: the agent that calls.
        call_id: the model's id of the call.
        turn_id: the parked turn.
    """

    id: str
    tool_name: str
    arguments: str
    agent_name: str
    call_id: str
    turn_id: str


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
class Full:
    """A limit was reached; nothing was written."""

    limit: int


@dataclass(frozen=True, slots=True)
class Late:
    """The message was submitted too long after its announcement. Announce it again."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The message is in the session's queue, with `position` entries before it."""

    position: int


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


@dataclass(frozen=True, slots=True)
class Cancellation:
    """How a turn ended that a caller wanted to end.

    Attributes:
        outcome: what happened:

            - "cancelled": its worker ended it, and kept `items` items
            - "forced": its worker did not end it in time, and can no longer commit it
            - "dropped": nobody ran it: it was queued, parked, dead, or cancelled before
            - "committed": it had been committed already
            - "ended": it ended otherwise: rolled back, abandoned, or deleted with its session
            - "absent": there is no such turn

        turn_id: the turn's.
        worker: who ran it; "" if unknown.
        items: how many of its items were kept.
        running_tools: names of tools that did not stop, or may not have: async ones that resist
            cancellation, and those in threads. Their results are dropped. None if unknown.
        reason: why it was cancelled: the first reason that was given. If the turn ended otherwise,
            this caller's.
    """

    outcome: Literal["cancelled", "forced", "dropped", "committed", "ended", "absent"]
    turn_id: str = ""
    worker: str = ""
    items: int = 0
    running_tools: tuple[str, ...] | None = ()
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class OpenTurn:
    """The turn that occupies a session.

    Attributes:
        turn_id: its id.
        attempt: 1 for the first.
        worker: who runs it, or ran it last.
        state: "running"; "parked": it waits for approvals; "stopped": its message failed for good.
        lease_remaining: what is left of its lease, in seconds; 0 or below if it is dead. None if it
            has none, since it is parked or stopped.
        cancel_mode: set if it was asked to end.
        background: whether it answers a submitted message.
    """

    turn_id: str
    attempt: int
    worker: str
    state: Literal["running", "parked", "stopped"]
    lease_remaining: float | None
    cancel_mode: CancelMode | None
    background: bool


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
class WorkerEntry:
    """A worker's record as it is stored.

    Attributes:
        worker: its name.
        age_ms: how long ago it was written.
        record: opaque to the store.
    """

    worker: str
    age_ms: int
    record: bytes


@dataclass(frozen=True, slots=True)
class HeldTurn:
    """A turn that a worker holds, or held when it wrote its record."""

    session_id: str
    turn_id: str


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker process last said of itself.

    Attributes:
        name: its name, as leases carry it.
        host, pid: where it runs.
        version: of Turnwise.
        started_at: when it began to work, in POSIX seconds by its host's clock.
        silent_for: seconds since its last heartbeat, by the store's clock.
        alive: whether heartbeats come. If not, the process is dead, paused, stalled, or cut off
            from the store; the rest is what it said last.
        stopping: whether it begins no more turns.
        agents: the agents that it knows.
        concurrency: how many sessions it serves at the same time.
        active: how many sessions it served.
        turns: the turns that it held, at most 200 of them, direct ones of its process too.
    """

    name: str
    host: str
    pid: int
    version: str
    started_at: float
    silent_for: float
    alive: bool
    stopping: bool
    agents: tuple[str, ...]
    concurrency: int
    active: int
    turns: tuple[HeldTurn, ...]


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


SessionState = Literal[
    "idle", "queued", "running", "retrying", "dead", "parked", "stopped", "newer", "unreadable"
]


@dataclass(frozen=True, slots=True)
class SessionSummary:
    """One session in a listing, without its content.

    Attributes:
        session_id: its id.
        state: "idle". "queued": no turn is open, and messages or callers wait. "running": a worker
            holds the open turn. "retrying": its last attempt failed, and the pause before the next
            one is not over. "dead": nobody holds it, its lease has ended. "parked": it waits for
            approvals. "stopped": its message failed for good. "newer": a newer version wrote the
            session. "unreadable": what is stored there is damaged, or is no session.
        since: since when it is in this state, in POSIX seconds; None if that is unknown.
        items: how many items its history has.
        bytes: the size of the history as it is stored.
        queued: how many messages and callers wait in its queue.
        updated_at: when its history changed last, in POSIX seconds; None if it is not readable.
        open_turn: the turn that occupies it, if any.
        error: why it is not readable; None if it is.
    """

    session_id: str
    state: SessionState
    since: float | None = None
    items: int = 0
    bytes: int = 0
    queued: int = 0
    updated_at: float | None = None
    open_turn: OpenTurn | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A part of a listing.

    Attributes:
        sessions: those of this part that were asked for; maybe none, although others follow.
        cursor: what the next call takes to go on; None at the end.
        strangers: keys beside the sessions' own that look like sessions of the SDK.
    """

    sessions: list[SessionSummary]
    cursor: str | None
    strangers: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Info:
    """What an operator can know of a session without its content.

    Attributes:
        session_id: its id.
        incarnation: a random id of it, from its creation to its deletion.
        items: how many items its history has.
        turns: how many commits there were.
        bytes: the size of the history as it is stored.
        queued: how many messages and callers wait in its queue.
        journal_entries: how many entries the open turn's journal has.
        created_at, updated_at: POSIX seconds, the store's time.
        expires_in: seconds until it expires; None if it does not.
        open_turn: the turn that occupies it, if any.
    """

    session_id: str
    incarnation: str
    items: int
    turns: int
    bytes: int
    queued: int
    journal_entries: int
    created_at: float
    updated_at: float
    expires_in: float | None
    open_turn: OpenTurn | None
