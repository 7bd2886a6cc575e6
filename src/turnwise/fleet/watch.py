"""The fleet as it is now, for the dashboard and `turnwise top`.

All visitors watch together: ten browsers cost the store what one costs.

One task looks at the store: a ping, the workers, pauses, a part of the sessions, which takes the
store two milliseconds. Then it rests for 49 times as long as the look took, within bounds: so it
costs the store less than 2 % of a core, and with a million sessions only what is counted gets
older. It ends when nobody has watched for a while.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256

from turnwise.errors import TurnwiseError, UsageError
from turnwise.fleet.actions import OperatorActions
from turnwise.fleet.orders import Pause
from turnwise.fleet.shared import Shared
from turnwise.types import Info, SessionSummary, WorkerInfo

INTERVAL = 2.0
"""Seconds from one look to the next, at least."""
LONGEST = 10.0
"""The same, at most."""
REST = 49
"""How many times as long as a look took the watch rests."""
BUDGET = 0.04
"""For so many seconds a look goes on through the sessions: a rest of INTERVAL is for that long."""
UNWATCHED = 600.0
"""Seconds after which it ends if nobody looks."""
_SAMPLES = 1800
_LETTERS = 50
"""How many dead letters are counted."""
_HOLDERS = 500
"""How many processes are counted."""
_HEADS = 20
"""Of how many sessions that nobody serves a walk asks for the first message."""


@dataclass(frozen=True)
class Census:
    """What a walk through all sessions counted.

    Attributes:
        at: When it was done, in POSIX seconds.
        states: How many sessions are in each state.
        queued: How many messages and callers wait.
        turns: How many commits all sessions had.
        later_attempts: How many open turns are on their second attempt or later.
        oldest: For how many seconds a message waits that nobody has taken; None if there is none.
        dead_letters: How many there are; at most 50 are counted.
        holders: How many running turns each process has, background workers and others.
        lost: How many turns each process had when its lease ended.
    """

    at: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    queued: int = 0
    turns: int = 0
    later_attempts: int = 0
    oldest: float | None = None
    dead_letters: int = 0
    holders: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def sessions(self) -> int:
        return self.states.total()

    @property
    def stuck_at_a_glance(self) -> int:
        """Sessions in states that need a person. `Session.stuck` finds others."""
        return sum(self.states[state] for state in ("dead", "stopped", "newer", "unreadable"))


@dataclass(frozen=True)
class Sample:
    """One point of the charts."""

    at: float
    turns_per_second: float | None
    running: int
    queued: int
    ping_ms: float


@dataclass(frozen=True)
class Seen:
    """What the last look saw; after an error, what the one before it saw."""

    workers: list[WorkerInfo] = field(default_factory=list)
    pauses: list[Pause] = field(default_factory=list)
    ping: float | None = None
    census: Census | None = None
    error: str = ""


class Watch:
    """Looks at the store while somebody watches."""

    def __init__(self, session: OperatorActions) -> None:
        self.seen = Seen()
        self.samples: deque[Sample] = deque(maxlen=_SAMPLES)
        self.shared = Shared(REST)
        self._session = session
        self._walk = _Walk(session)
        self._looks = 0
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._wanted_until = 0.0
        self.streams = 0

    async def latest(self) -> Seen:
        """What was seen last; the first one waits for it."""
        self._want()
        while not self._looks:
            await self._news.wait()
        return self.seen

    async def looks(self) -> AsyncIterator[str]:
        """Every look, from the next on."""
        while True:
            self._want()
            await self._news.wait()
            yield ""

    async def changes_of(self, session_id: str, known: str) -> AsyncIterator[str]:
        """A mark of the session at every look at which it is another than before.

        `known` is the mark of what the visitor saw: what changed since then is no secret.
        """
        while True:
            found = await self._mark(session_id)
            if found != known:
                known = found
                yield known
            await asyncio.sleep(INTERVAL / 2)

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[None]:
        """During the block it looks all the time."""
        self._want(float("inf"))
        try:
            yield
        finally:
            if self._task is not None:
                self._task.cancel()
                with suppress(asyncio.CancelledError):
                    await self._task

    def _want(self, until: float | None = None) -> None:
        wanted = time.monotonic() + UNWATCHED if until is None else until
        self._wanted_until = max(self._wanted_until, wanted)
        if self._task is None or self._task.done():
            self._looks = 0
            self._task = asyncio.create_task(self._look_again(), name="turnwise-watch")

    async def _look_again(self) -> None:
        while time.monotonic() < self._wanted_until:
            started = time.monotonic()
            try:
                await self.look()
            except UsageError as error:  # the session object is closed
                self._tell(Seen(error=str(error)))
                return
            except TurnwiseError as error:
                self._tell(replace(self.seen, ping=None, error=str(error)))
            rest = REST * (time.monotonic() - started)
            await asyncio.sleep(min(max(INTERVAL, rest), LONGEST))

    async def look(self) -> None:
        """Look at the store once. Raises TurnwiseError."""
        started = time.perf_counter()
        await self._session.ping()
        ping = time.perf_counter() - started
        workers, pauses = await self._session.workers(), await self._session.pauses()
        before = self.seen.census
        census = await self._counted(started + BUDGET) or before
        if census is not None:
            self.samples.append(_sample(census, before, ping))
        self._tell(Seen(workers, pauses, ping, census))

    async def _counted(self, until: float) -> Census | None:
        """A new census, if the walk comes to an end before its time is over."""
        while True:
            census = await self._walk.further()
            if census is not None or time.perf_counter() > until:
                return census

    def _tell(self, seen: Seen) -> None:
        self.seen = seen
        self._looks += 1
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _mark(self, session_id: str) -> str:
        try:
            key = "info", session_id
            return mark(await self.shared.get(key, lambda: self._session.info(session_id)))
        except TurnwiseError as error:
            return sha256(str(error).encode()).hexdigest()


class _Walk:
    """Walks through all sessions, a part at each look."""

    def __init__(self, session: OperatorActions) -> None:
        self._session = session
        self._cursor: str | None = None
        self._begin()

    async def further(self) -> Census | None:
        """What was counted, if this part was the last one."""
        try:
            page = await self._session.sessions(cursor=self._cursor)
        except UsageError:
            self._session.runtime.check_open()
            self._begin()  # a node of a cluster was replaced
            return None
        for found in page.sessions:
            self._count(found)
        self._cursor = page.cursor
        return None if page.cursor is not None else await self._counted()

    def _begin(self) -> None:
        self._cursor = None
        self._states, self._holders, self._lost = Counter[str](), Counter[str](), Counter[str]()
        self._queued = self._turns = self._later_attempts = 0
        self._heads: list[str] = []

    def _count(self, found: SessionSummary) -> None:
        self._states[found.state] += 1
        self._queued += found.queued
        self._turns += found.turns
        if found.queued and found.state in ("queued", "dead") and len(self._heads) < _HEADS:
            self._heads.append(found.session_id)
        if (turn := found.open_turn) is not None:
            self._later_attempts += turn.attempt > 1
            held = {"running": self._holders, "dead": self._lost}.get(found.state)
            if held is not None and (turn.worker in held or len(held) < _HOLDERS):
                held[turn.worker] += 1

    async def _counted(self) -> Census:
        waiting = [await self._waiting(session_id) for session_id in self._heads]
        unclaimed = await self._session.runtime.store.ready.unclaimed()
        if unclaimed.oldest_ms is not None:
            waiting.append(unclaimed.oldest_ms / 1000)
        letters = await self._session.dead_letters(_LETTERS)
        census = Census(
            at=time.time(),
            states=self._states,
            queued=self._queued,
            turns=self._turns,
            later_attempts=self._later_attempts,
            oldest=max(waiting, default=None),
            dead_letters=len(letters),
            holders=self._holders,
            lost=self._lost,
        )
        self._begin()
        return census

    async def _waiting(self, session_id: str) -> float:
        queue = await self._session.queue(session_id, 1)
        return queue[0].waiting_for if queue else 0.0


def _sample(census: Census, before: Census | None, ping: float) -> Sample:
    rate = None
    if before is not None and census.at > before.at:
        # Deleted sessions take their turns away.
        rate = max(0.0, (census.turns - before.turns) / (census.at - before.at))
    running = census.states["running"]
    return Sample(time.time(), rate, running, census.queued, ping * 1000)


def mark(info: Info | None) -> str:
    """A short name for how a session stands: what runs out by itself is no part of it."""
    if info is None:
        return "-"
    turn = info.open_turn
    standing = (
        *(info.incarnation, info.turns, info.items, info.queued, info.journal_entries),
        info.updated_at,
        turn and (turn.turn_id, turn.attempt, turn.state, turn.worker, turn.cancel_mode),
    )
    return sha256(repr(standing).encode()).hexdigest()[:32]
