"""A background worker: it claims wake-ups, visits their sessions, and acks what is finished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from turnwise.background import Agents, Policy
from turnwise.errors import StoreError, StoreUnavailable
from turnwise.fleet import Heartbeat, Standing
from turnwise.session import Session
from turnwise.turns import check_number
from turnwise.turns.errors import shown
from turnwise.worker.acks import Acks
from turnwise.worker.backlog import Backlog

_log = logging.getLogger("turnwise")
_CLAIM_WAIT = 0.2
_SWEEP_INTERVAL = 5.0
_LOOK_INTERVAL = 5.0
_STORE_PAUSE = 0.5
_MAX_CLAIMS = 256


class Worker:
    """Runs the queued messages of all sessions of a store.

    Args:
        session: Stands for all sessions of the store.
        agents: The agents that messages may name: one, several, or a mapping by name.
        concurrency: How many sessions are served at the same time (50).
        grace: Seconds that running turns may take to finish after `stop` (20). Then they are
            released, and other workers continue them.
        policy: How messages are run; None for `Policy()`.

    Attributes:
        turns: How many turns this worker has finished.
        concurrency: How many sessions it serves at the same time.

    Raises:
        UsageError: `agents` holds something else than agents of the SDK, or two of one name;
            or a number is out of range; or `session` is bound to the sessions of one owner.
    """

    def __init__(
        self,
        session: Session,
        agents: Agents,
        *,
        concurrency: int = 50,
        grace: float = 20.0,
        policy: Policy | None = None,
    ) -> None:
        check_number("concurrency", concurrency, least=1)
        check_number("grace", grace)
        session.runtime.check_unowned("a worker")
        self.turns = 0
        self._ready = session.runtime.store.ready
        self._runtime = session.runtime
        self._lease = session.runtime.settings.lease
        self._processor = session.processor(agents, policy)
        self._acks = Acks(session.runtime)
        self.concurrency = concurrency
        self._grace = grace
        self._backlog = Backlog()
        self._told: Standing | None = None
        self._visits: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        self._has_capacity = asyncio.Event()

    @property
    def _name(self) -> str:
        """The name of the process that runs it, which may be a child of the one that made it."""
        return self._runtime.name

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents that it knows."""
        return self._processor.agents

    @property
    def active(self) -> int:
        """How many sessions it serves now."""
        return self._backlog.active

    @property
    def is_stopping(self) -> bool:
        """Whether `stop` was called: it begins no more turns."""
        return self._stopping.is_set()

    @property
    def is_quiet(self) -> bool:
        """Whether an operator told it to take nothing new."""
        return self._told is not None and self._told.order == "quiet"

    def stop(self) -> None:
        """Begin no more turns. `run` returns when the running ones have ended, or `grace` is over.

        May be called in a signal handler of the event loop.
        """
        self._stopping.set()
        self._has_capacity.set()

    async def run(self) -> None:
        """Work until `stop` is called. If it is cancelled, running turns are released at once.

        Raises:
            UsageError: Its session object is closed; running turns were released.
        """
        extending = asyncio.create_task(self._repeat(self._lease / 3, self._extend_claims))
        sweeping = asyncio.create_task(self._repeat(_SWEEP_INTERVAL, self._sweep))
        heartbeat = Heartbeat(self._runtime, self)
        try:
            while not self._stopping.is_set():
                with suppress(TimeoutError):
                    async with asyncio.timeout(_LOOK_INTERVAL):
                        await self._has_capacity.wait()
                self._runtime.check_open()
                await (self._claim(_CLAIM_WAIT) if self._takes_more() else self._give_back())
            await self._end_visits(self._grace)
        finally:
            self.stop()
            sweeping.cancel()
            await self._end_visits(0)
            extending.cancel()
            await asyncio.gather(sweeping, extending, return_exceptions=True)
            await heartbeat.end()

    async def obey(self, told: Standing) -> None:
        """Do what operators tell workers, from the next message on; `Heartbeat` calls it."""
        before, self._told = self._told or Standing(), told
        if told != before:
            _log.info("worker %r is told by operators: %s", self._name, told)
        if told.order == "stop":
            self.stop()
        if before.paused - told.paused:
            with suppress(StoreError):  # then they come after their delay
                await self._acks.recall()
        self._begin_visits()

    def _takes_more(self) -> bool:
        """Whether it may begin a turn. Not before it is known what operators have paused."""
        told = self._told
        may = told is not None and told.order is None and not told.all_paused
        return may and not self._stopping.is_set()

    async def _give_back(self) -> None:
        """Give its claims back, those with a delay too: it takes nothing now, and others may."""
        self._has_capacity.clear()
        self._backlog.clear()
        with suppress(StoreError):  # then they time out
            await self._ready.leave(self._name)

    async def _claim(self, wait: float) -> None:
        """Claim wake-ups, as many as there is capacity for, and begin visits."""
        free = self.concurrency - self._backlog.active
        if not self._takes_more() or free <= 0:
            self._has_capacity.clear()
            return
        try:
            claims = await self._ready.claim(self._name, min(free, _MAX_CLAIMS), wait)
        except StoreError as error:
            _log.warning("worker %r cannot claim messages: %s", self._name, error)
            await asyncio.sleep(_STORE_PAUSE)
            return
        self._backlog.add(claims)
        self._begin_visits()

    def _begin_visits(self) -> None:
        while self._takes_more() and self._backlog.active < self.concurrency:
            session_id = self._backlog.take()
            if session_id is None:
                break
            visit = asyncio.create_task(self._visit(session_id), name="turnwise-visit")
            self._visits.add(visit)
            visit.add_done_callback(self._visit_done)
        has_room = self._takes_more() and self._backlog.active < self.concurrency
        if has_room or self._stopping.is_set():
            self._has_capacity.set()
        else:
            self._has_capacity.clear()

    def _visit_done(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        if not visit.cancelled() and (error := visit.exception()) is not None:
            _log.error("a visit of worker %r failed: %s", self._name, shown(error))
        self._begin_visits()

    async def _visit(self, session_id: str) -> None:
        claims = self._backlog.claims(session_id)
        more, told = False, self._told
        try:
            if not await self._acks.too_soon(session_id, claims):
                visit = await self._processor.visit(
                    session_id, lambda: not self._takes_more(), self._paused
                )
                self.turns += len(visit.finished)
                more = visit.state == "more" and self._takes_more()
                if not more:
                    await self._acks.visited(session_id, claims, visit)
                if visit.state == "paused" and self._told != told:  # perhaps no more
                    await self._acks.recall(session_id)
        except asyncio.CancelledError:
            with suppress(StoreError):
                await self._ready.requeue(self._name, claims, 0)
            raise
        except Exception as error:
            # Unreachable, of a newer format, not a session: its messages stay queued, so its claims
            # must not stay with a worker that cannot serve it.
            _log.warning(
                "worker %r cannot serve session %r: %s", self._name, session_id, shown(error)
            )
            with suppress(StoreError):
                transient = isinstance(error, StoreUnavailable)
                await self._acks.failed(session_id, claims, transient=transient)
        finally:
            self._backlog.done(session_id, claims, again=more)
        if more:  # other sessions get their chance first
            await self._claim(0)

    def _paused(self) -> frozenset[str]:
        return frozenset() if self._told is None else self._told.paused

    async def _end_visits(self, grace: float) -> None:
        """Wait for the running turns; release those that take longer, and all claims."""
        if self._visits:
            await asyncio.wait(self._visits, timeout=grace)
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        self._backlog.clear()
        with suppress(StoreError):
            await self._ready.leave(self._name)

    async def _repeat(self, interval: float, act: Callable[[], Awaitable[object]]) -> None:
        while True:
            try:
                await act()
            except StoreError as error:
                _log.warning("the store does not answer worker %r: %s", self._name, error)
            await asyncio.sleep(interval)

    async def _sweep(self) -> None:
        await self._acks.end_expired()
        await self._ready.sweep()

    async def _extend_claims(self) -> None:
        await self._ready.extend(self._name)
