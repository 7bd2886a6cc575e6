"""A worker as a process: it waits for its store, answers probes, and ends on a signal."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import typer

from turnwise.errors import StoreError, StoreUnavailable
from turnwise.fleet import SharedCensus
from turnwise.session import Session
from turnwise.worker import Worker
from turnwise.worker.probes import Probes

UNREACHED = os.EX_UNAVAILABLE
"""The exit code if the store was not reached in time: 69, which systemd names UNAVAILABLE."""
_PAUSE = 0.5
_PING_TIMEOUT = 0.9
"""Seconds for a readiness probe: the kubelet gives up after one."""
_SCRAPE_TIMEOUT = 3.0
"""Seconds for what the store tells of the fleet: less than any scraper waits."""
_log = logging.getLogger("turnwise")


class WorkerProcess:
    """Runs a worker until SIGTERM or SIGINT.

    Args:
        session: Stands for all sessions of the worker's store.
        worker: The worker.
        startup_timeout: Seconds that the store has to answer at the start.
    """

    def __init__(self, session: Session, worker: Worker, startup_timeout: float) -> None:
        self._session = session
        self._store = session.runtime.store
        self._worker = worker
        self._startup_timeout = startup_timeout
        self._is_started = False

    async def run(self) -> None:
        """Work until a signal comes. Raises typer.Exit if the store does not answer."""
        loop, starting = asyncio.get_running_loop(), asyncio.create_task(self._start())

        def stop() -> None:
            self._worker.stop()
            starting.cancel()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop)
        await asyncio.wait([starting])
        if not starting.cancelled():
            starting.result()
        await self._worker.run()
        _log.info("worker has ended after %d turns", self._worker.turns)

    @asynccontextmanager
    async def probes(self, host: str, port: int) -> AsyncIterator[None]:
        """Serve what monitoring asks for during the block."""
        from turnwise.observe.prometheus import (
            CONTENT_TYPE,
            FleetFigures,
            FleetMetrics,
            exposition,
        )

        fleet, census = FleetMetrics(), SharedCensus(self._session)

        async def metrics() -> bytes:
            try:
                async with asyncio.timeout(_SCRAPE_TIMEOUT):
                    figures = FleetFigures(
                        await self._session.workers(),
                        await self._store.ready.unclaimed(),
                        len(await self._session.pauses()),
                        await self._store.count_dead_letters(),
                        await census.latest(),
                    )
                fleet.show(figures)
            except (StoreError, TimeoutError):
                fleet.show_unreached()
            return exposition()

        probes = Probes(self._unready, metrics, CONTENT_TYPE)
        async with AsyncExitStack() as stack:
            try:
                bound = await stack.enter_async_context(probes.listening(host, port))
            except OSError as error:
                sys.exit(
                    f"turnwise: cannot listen at {host}, port {port}: {error}. Choose others with "
                    "--metrics-port and --metrics-host"
                )
            stack.push_async_callback(census.aclose)
            _log.info("worker answers /metrics, /healthz and /readyz at port %d", bound)
            yield

    async def _unready(self) -> str:
        """Why it takes no messages now; "" if it does."""
        if self._worker.is_stopping:
            return "it is stopping"
        if self._worker.is_quiet:
            return "it was told to take nothing new"
        if not self._is_started:
            return "the store has not answered yet"
        try:
            async with asyncio.timeout(_PING_TIMEOUT):
                await self._store.ping()
        except TimeoutError:
            return f"the store does not answer within {_PING_TIMEOUT:g} s"
        except StoreError as error:
            return str(error)
        return ""

    async def _start(self) -> None:
        """Wait for the store. What it refuses now it will refuse later: that is raised at once."""
        deadline, told = time.monotonic() + self._startup_timeout, False
        while True:
            try:
                async with asyncio.timeout(max(0.001, deadline - time.monotonic())):
                    await self._store.ping()
                break
            except (StoreUnavailable, TimeoutError) as error:
                why = str(error) or "the store does not answer"
                if time.monotonic() + _PAUSE > deadline:
                    _log.error("worker gives up after %g s: %s", self._startup_timeout, why)
                    raise typer.Exit(UNREACHED) from None
            if not told:
                _log.warning("worker waits for its store: %s", why)
                told = True
            await asyncio.sleep(_PAUSE)
        self._is_started = True
        _log.info("worker is ready")
