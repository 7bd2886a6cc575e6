"""One process that serves: its worker inside, whether it is ready, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import Protocol

from turnwise.errors import StoreError
from turnwise.http.gateway import NO_WORKER, Gateway

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LAST_ANSWERS = 2.0
"""Seconds in which those get their answers whose turns the worker has ended last."""
_PING_TIMEOUT = 0.9
"""Seconds for a readiness probe: the kubelet gives up after one."""
_log = logging.getLogger("turnwise")


class WorkerInside(Protocol):
    """What runs turns in this process: `turnwise.Worker`."""

    def stop(self) -> None:
        """Begin no more turns."""

    async def run(self) -> None:
        """Return when it was stopped, and its turns have ended or are released."""


class Replica:
    """A process that serves.

    It ends in this order. `stop`: it is not ready, takes no new messages, and its worker begins no
    more turns. When the worker has ended, which gives running turns their grace and then to others,
    everybody who still follows or waits is sent away, and told to come back. Then it is `ended`.

    Args:
        gateway: What its wires ask.
        worker: Runs turns in this process; None if workers elsewhere do.
    """

    def __init__(self, gateway: Gateway, worker: WorkerInside | None = None) -> None:
        self.gateway = gateway
        self.ended = asyncio.Event()
        self.failed = False
        self._worker = worker
        gateway.lacks_worker = worker is not None
        self._stopping = asyncio.Event()
        self._working: asyncio.Task[None] | None = None

    def stop(self) -> None:
        """Begin to end. A second call ends the worker's grace."""
        if self._stopping.is_set() and self._working is not None:
            self._working.cancel()
        self.gateway.stop()
        if self._worker is not None:
            self._worker.stop()
        self._stopping.set()

    async def unready(self) -> str:
        """Why it should get no requests now; "" if it should."""
        if self.gateway.lacks_worker:
            return NO_WORKER
        if self.gateway.is_stopping:
            return "it is stopping"
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                await self.gateway.ping()
        except TimeoutError:
            return f"the store does not answer within {_PING_TIMEOUT:g} s"
        except StoreError:
            return "the store does not answer"
        return ""

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Its worker runs during the block, and has ended after it."""
        self.gateway.lacks_worker = False
        running = asyncio.create_task(self._run(), name="turnwise-replica")
        try:
            yield
        finally:
            if not self._stopping.is_set():
                self.stop()
            await running

    async def _run(self) -> None:
        try:
            if self._worker is not None:
                self._working = asyncio.create_task(self._worker.run(), name="turnwise-worker")
                await asyncio.wait({self._working})
                self._check(self._working)
                self.stop()  # an operator told the worker to stop, or it failed
                await self.gateway.emptied(LAST_ANSWERS)
            await self._stopping.wait()
        finally:
            self.gateway.end()
            self.ended.set()

    def _check(self, working: asyncio.Task[None]) -> None:
        error = None if working.cancelled() else working.exception()
        if error is not None:
            self.failed = True
            _log.error("the worker inside this server failed", exc_info=error)

    @contextmanager
    def stopped_by_signals(self) -> Iterator[None]:
        """SIGTERM and SIGINT stop it during the block, and do besides what they did before.

        So it works inside a server that somebody else starts, and which handles them. Elsewhere,
        and in another thread than the main one, it does nothing.
        """
        loop = asyncio.get_running_loop()

        def handle(
            before: Callable[[int, FrameType | None], object],
            number: int,
            frame: FrameType | None,
        ) -> None:
            loop.call_soon_threadsafe(self.stop)
            before(number, frame)

        handlers = {number: signal.getsignal(number) for number in SIGNALS}
        found = {number: before for number, before in handlers.items() if callable(before)}
        try:
            for number, before in found.items():
                signal.signal(number, partial(handle, before))
        except ValueError:  # not in the main thread
            found.clear()
        try:
            yield
        finally:
            for number, before in found.items():
                signal.signal(number, before)
