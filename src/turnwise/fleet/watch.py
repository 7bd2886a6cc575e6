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
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from hashlib import sha256

from turnwise.errors import TurnwiseError, UsageError
from turnwise.fleet.actions import OperatorActions
from turnwise.fleet.census import Census, Walk
from turnwise.fleet.orders import Pause
from turnwise.fleet.shared import Shared
from turnwise.fleet.turn_rates import RateMeter, TurnRates
from turnwise.types import Info, WorkerInfo

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


@dataclass(frozen=True)
class Sample:
    """One point of the charts.

    Attributes:
        at: When, in POSIX seconds.
        turns_per_second: How many turns were committed since the sessions were counted before; None
            if they were not counted since.
        running: How many sessions have a running turn; None before the first count.
        queued: How many messages and callers wait; None likewise.
        ping_ms: How long the store took for a ping.
        rates: How turns went in the minute before.
    """

    at: float
    turns_per_second: float | None
    running: int | None
    queued: int | None
    ping_ms: float
    rates: TurnRates


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
        self._walk = Walk(session)
        self._rates = RateMeter()
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
        before, rates = self.seen.census, self._rates.look(time.monotonic(), workers)
        census = await self._counted(time.perf_counter() + BUDGET) or before
        self.samples.append(_sample(census, before, ping, rates))
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


def _sample(census: Census | None, before: Census | None, ping: float, rates: TurnRates) -> Sample:
    if census is None:
        return Sample(time.time(), None, None, None, ping * 1000, rates)
    rate = None
    if before is not None and census.at > before.at:
        # Deleted sessions take their turns away.
        rate = max(0.0, (census.turns - before.turns) / (census.at - before.at))
    running = census.states["running"]
    return Sample(time.time(), rate, running, census.queued, ping * 1000, rates)


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
