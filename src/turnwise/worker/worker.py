"""A background worker: claims wake-ups, visits their sessions, settles what is finished."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

from turnwise.background import Agents, Policy
from turnwise.errors import StoreError, StoreUnavailable, TurnwiseError
from turnwise.session import Session
from turnwise.worker.acks import Acks
from turnwise.worker.backlog import Backlog

_log = logging.getLogger("turnwise")
_WAIT = 0.2
_SWEEP = 5.0
_UNREACHABLE = 0.5
_AT_ONCE = 256


class Worker:
    """Runs the messages of all sessions of a store, up to `concurrency` sessions at a time.

    `session` stands for all sessions, `agents` are those that messages may name. `grace` is how
    many seconds running turns get to their end after `stop`; those that take longer are given back
    for other workers to go on with. `turns` counts those that it has finished.
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
        self.turns = 0
        self._ready = session.runtime.store.ready
        self._lease = session.runtime.settings.lease
        self._equipment = session.runtime
        self._running = session.processor(agents, policy)
        self._after = Acks(session.runtime)
        self._concurrency = concurrency
        self._grace = grace
        self._line = Backlog()
        self._visits: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._room = asyncio.Event()

    @property
    def _name(self) -> str:
        """Of the process that runs it, which may be a child of the one that made it."""
        return self._equipment.name

    def stop(self) -> None:
        """Begin no turn any more. `run` returns when those that run have ended, or grace is over.

        Safe to call in a signal handler of the event loop.
        """
        self._stopped.set()
        self._room.set()

    async def run(self) -> None:
        """Work until `stop` is called. Cancelled, it gives its turns back at once."""
        holding = asyncio.create_task(self._every(self._lease / 3, self._hold))
        sweeping = asyncio.create_task(self._every(_SWEEP, self._sweep))
        try:
            self._room.set()
            while not self._stopped.is_set():
                await self._room.wait()
                await self._claim(_WAIT)
            await self._ended(self._grace)
        finally:
            self.stop()
            sweeping.cancel()
            await self._ended(0)
            holding.cancel()
            await asyncio.gather(sweeping, holding, return_exceptions=True)

    async def _claim(self, wait: float) -> None:
        """Be told of sessions, for the places that are free."""
        free = self._concurrency - self._line.at_work
        if self._stopped.is_set() or free <= 0:
            self._room.clear()
            return
        try:
            claims = await self._ready.claim(self._name, min(free, _AT_ONCE), wait)
        except StoreError as error:
            _log.warning("the store does not tell of messages: %s", error)
            await asyncio.sleep(_UNREACHABLE)
            return
        self._line.add(claims)
        self._start()

    def _start(self) -> None:
        """Begin visits where there are places free."""
        while not self._stopped.is_set() and self._line.at_work < self._concurrency:
            session_id = self._line.take()
            if session_id is None:
                break
            visit = asyncio.create_task(self._visit(session_id), name="turnwise-visit")
            self._visits.add(visit)
            visit.add_done_callback(self._visited)
        if self._line.at_work < self._concurrency or self._stopped.is_set():
            self._room.set()
        else:
            self._room.clear()

    def _visited(self, visit: asyncio.Task[None]) -> None:
        self._visits.discard(visit)
        if not visit.cancelled() and (error := visit.exception()) is not None:
            _log.error("a visit failed: %r", error)
        self._start()

    async def _visit(self, session_id: str) -> None:
        known = self._line.known(session_id)
        more = False
        try:
            if not await self._after.too_soon(session_id, known):
                visit = await self._running.visit(session_id, self._stopped.is_set)
                self.turns += len(visit.finished)
                more = visit.state == "more" and not self._stopped.is_set()
                if not more:
                    await self._after.visit(session_id, known, visit)
        except asyncio.CancelledError:
            with suppress(StoreError):
                await self._ready.requeue(self._name, known, 0)
            raise
        except Exception as error:
            # Unreachable, of a newer format, no session at all: it keeps its messages, and its
            # wake-ups must not stay with a worker that does nothing about them.
            _log.warning("session %r was not served: %s", session_id, told(error))
            with suppress(StoreError):
                passing = isinstance(error, StoreUnavailable)
                await self._after.refused(session_id, known, passing=passing)
        finally:
            self._line.leave(session_id, known, again=more)
        if more:  # others get their chance first
            await self._claim(0)

    async def _ended(self, grace: float) -> None:
        """Wait for the turns that run, and give back what is left after that."""
        if self._visits:
            await asyncio.wait(self._visits, timeout=grace)
        for visit in self._visits:
            visit.cancel()
        if self._visits:
            await asyncio.wait(self._visits)
        if left := self._line.left():
            with suppress(StoreError):
                await self._ready.requeue(self._name, left, 0)

    async def _every(self, pause: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except StoreError as error:
                _log.warning("the store does not answer a worker: %s", error)
            await asyncio.sleep(pause)

    async def _hold(self) -> None:
        if self._line.at_work or len(self._line):
            await self._ready.extend(self._name)

    async def _sweep(self) -> None:
        await self._ready.sweep()


def told(error: Exception) -> str:
    """What the log says of it: errors that are not ours may quote what nobody is to read there."""
    return str(error) if isinstance(error, TurnwiseError) else type(error).__name__
