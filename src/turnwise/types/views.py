"""What callers are shown. Durations are in seconds, times in POSIX seconds, the store's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from turnwise.types.usage import NO_USAGE, TokenUsage

CancelMode = Literal["keep", "drop"]
"""What a cancelled turn does with what it has finished: commit it, or drop it."""


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
        failed, died: how many earlier attempts failed, and how many ended with their workers.
    """

    turn_id: str
    attempt: int
    worker: str
    state: Literal["running", "parked", "stopped"]
    lease_remaining: float | None
    cancel_mode: CancelMode | None
    background: bool
    failed: int = 0
    died: int = 0


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
        quiet: whether it was told to take nothing new.
        agents: the agents that it knows.
        concurrency: how many sessions it serves at the same time.
        active: how many sessions it served.
        turns: the turns that it held, at most 200 of them, direct ones of its process too.
        latency: how many turns its process has committed, by how long they took: at most 0.05 s, at
            most 1.4 times that, and so on up to 1,638 s, and longer. Zeros at the end are left out.
        takeovers: how many attempts of its process took a turn over.
    """

    name: str
    host: str
    pid: int
    version: str
    started_at: float
    silent_for: float
    alive: bool
    stopping: bool
    quiet: bool
    agents: tuple[str, ...]
    concurrency: int
    active: int
    turns: tuple[HeldTurn, ...]
    latency: tuple[int, ...] = ()
    takeovers: int = 0

    @property
    def state(self) -> Literal["alive", "quiet", "stopping", "silent"]:
        """In one word: whether it takes messages, and if not, why."""
        if not self.alive:
            return "silent"
        return "stopping" if self.stopping else "quiet" if self.quiet else "alive"


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
        turns: how many commits there were.
        usage: what its turns consumed; see `Info`.
        owner: whom it belongs to; None if it has no owner.
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
    turns: int = 0
    usage: TokenUsage = NO_USAGE
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class SessionCounts:
    """What was counted of all sessions.

    Attributes:
        states: how many sessions are in each state.
        oldest_approval: for how many seconds the turn that waits longest for approvals does; None
            if none does.
        age: for how many seconds it is known.
    """

    states: Mapping[str, int]
    oldest_approval: float | None
    age: float


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
        state, since: as in `SessionSummary`.
        incarnation: a random id of it, from its creation to its deletion.
        items: how many items its history has.
        turns: how many commits there were.
        bytes: the size of the history as it is stored.
        queued: how many messages and callers wait in its queue.
        journal_entries: how many entries the open turn's journal has.
        created_at, updated_at: POSIX seconds, the store's time.
        expires_in: seconds until it expires; None if it does not.
        open_turn: the turn that occupies it, if any.
        usage: what its turns consumed that ended in it, also those that were removed since.
        owner: whom it belongs to; None if it has no owner.
    """

    session_id: str
    state: SessionState
    since: float | None
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
    usage: TokenUsage = NO_USAGE
    owner: str | None = None
