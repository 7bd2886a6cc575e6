"""A worker's heartbeat: it says what it does, and hears what it was told."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from contextlib import suppress
from importlib.metadata import version
from itertools import islice
from typing import Protocol

import msgspec

from turnwise.errors import StoreError, StoreRefused
from turnwise.fleet.orders import Standing, forget_worker, standing
from turnwise.fleet.workers import INTERVAL, WorkerRecord
from turnwise.turns import Runtime
from turnwise.turns.errors import shown

_log = logging.getLogger("turnwise")
_MOST_TURNS = 200
"""How many turns a record names, so that it stays small."""
_LAST_CALL = 2.0
"""Seconds that the store has to take a worker's record away when that ends."""
_FIRST_PAUSE = 0.5
"""Seconds to the next try while the worker has not heard anything, and so does not begin."""


class Obedient(Protocol):
    """The worker."""

    @property
    def agents(self) -> tuple[str, ...]:
        """The names of the agents that it knows."""

    @property
    def concurrency(self) -> int:
        """How many sessions it serves at the same time."""

    @property
    def active(self) -> int:
        """How many sessions it serves now."""

    @property
    def is_stopping(self) -> bool:
        """Whether it begins no more turns."""

    @property
    def is_quiet(self) -> bool:
        """Whether it was told to take nothing new."""

    async def obey(self, told: Standing) -> None:
        """Do what it was told. It begins to work at the first call."""


class Heartbeat:
    """Keeps a worker's record in the registry until `end`. It costs its turns nothing."""

    def __init__(self, runtime: Runtime, worker: Obedient) -> None:
        self._runtime = runtime
        self._worker = worker
        self._started_at = time.time()
        self._has_heard = False
        self._ended = asyncio.Event()
        self._task = asyncio.create_task(self._beat(), name="turnwise-worker-heartbeat")

    async def end(self) -> None:
        """Remove the record. If the store does not answer, it stays, as that of a dead worker."""
        self._ended.set()
        with suppress(StoreError, TimeoutError):
            async with asyncio.timeout(_LAST_CALL):
                # A heartbeat that is on its way would bring the record back.
                await self._task
                await self._runtime.store.workers.remove(self._runtime.name)
                await forget_worker(self._runtime, self._runtime.name)

    async def _beat(self) -> None:
        while not self._ended.is_set():
            await self._say()
            await self._hear()
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL if self._has_heard else _FIRST_PAUSE):
                    await self._ended.wait()

    async def _say(self) -> None:
        name = self._runtime.name
        try:
            await self._runtime.store.workers.write(name, msgspec.json.encode(self._record()))
        except Exception as error:  # whatever it is, the worker can do without
            _log.warning("worker %r is not in the registry: %s", name, shown(error))

    async def _hear(self) -> None:
        """What was heard last holds on while the store does not answer."""
        name = self._runtime.name
        try:
            told = await standing(self._runtime, name, self._started_at)
        except Exception as error:
            # What is refused now will be refused later too, so the worker begins without.
            begins = not self._has_heard and isinstance(error, StoreRefused)
            waits = not (self._has_heard or begins)
            what = "cannot claim messages, as it does not hear" if waits else "does not hear"
            _log.warning("worker %r %s what is paused: %s", name, what, shown(error))
            if not begins:
                return
            told = Standing()
        self._has_heard = True
        await self._worker.obey(told)

    def _record(self) -> WorkerRecord:
        worker, stats = self._worker, self._runtime.turn_stats.get()
        return WorkerRecord(
            socket.gethostname(),
            os.getpid(),
            version("turnwise"),
            self._started_at,
            list(worker.agents),
            worker.concurrency,
            worker.active,
            worker.is_stopping,
            list(islice(self._runtime.held.get().values(), _MOST_TURNS)),
            worker.is_quiet,
            stats.counts,
            stats.takeovers,
        )
