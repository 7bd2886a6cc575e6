"""What a worker says of itself in the registry, and what is made of it."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from importlib.metadata import version
from itertools import islice

import msgspec

from turnwise.errors import StoreError
from turnwise.turns import Runtime
from turnwise.turns.errors import shown
from turnwise.types import HeldTurn, WorkerEntry, WorkerInfo

_log = logging.getLogger("turnwise")
INTERVAL = 5.0
"""Seconds from one heartbeat to the next."""
SILENT_AFTER = 3 * INTERVAL
"""Seconds without a heartbeat after which a worker does not count as alive."""
_MOST_TURNS = 200
"""How many turns a record names, so that it stays small."""
_LAST_CALL = 2.0
"""Seconds that the store has to take a worker's record away when that ends."""


class WorkerRecord(msgspec.Struct, omit_defaults=True):
    """What is stored; see `WorkerInfo`. `turns` has pairs of session id and turn_id."""

    host: str
    pid: int
    version: str
    started_at: float
    agents: list[str]
    concurrency: int
    active: int = 0
    stopping: bool = False
    turns: list[tuple[str, str]] = []


_decoder = msgspec.json.Decoder(WorkerRecord)


class Heartbeat:
    """Keeps a worker's record in the registry until `end`. It costs its turns nothing.

    Args:
        runtime: the worker's process.
        agents: the names of the agents that it knows.
        concurrency: how many sessions it serves at the same time.
        active: tells how many it serves now.
        is_stopping: tells whether it begins no more turns.
    """

    def __init__(
        self,
        runtime: Runtime,
        agents: Iterable[str],
        concurrency: int,
        active: Callable[[], int],
        is_stopping: Callable[[], bool],
    ) -> None:
        self._runtime = runtime
        self._active, self._is_stopping = active, is_stopping
        self._fixed = WorkerRecord(
            socket.gethostname(),
            os.getpid(),
            version("turnwise"),
            time.time(),
            list(agents),
            concurrency,
        )
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

    async def _beat(self) -> None:
        while not self._ended.is_set():
            try:
                record = msgspec.json.encode(self._record())
                await self._runtime.store.workers.write(self._runtime.name, record)
            except Exception as error:  # whatever it is, the worker can do without
                name = self._runtime.name
                _log.warning("worker %r is not in the registry: %s", name, shown(error))
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL):
                    await self._ended.wait()

    def _record(self) -> WorkerRecord:
        return msgspec.structs.replace(
            self._fixed,
            active=self._active(),
            stopping=self._is_stopping(),
            turns=list(islice(self._runtime.held.get().values(), _MOST_TURNS)),
        )


async def list_workers(runtime: Runtime) -> list[WorkerInfo]:
    """See `Session.workers`."""
    found = map(_decoded, await runtime.store.workers.list())
    return [worker for worker in found if worker is not None]


def _decoded(entry: WorkerEntry) -> WorkerInfo | None:
    """None for a record that another version wrote in another form."""
    try:
        record = _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        _log.warning("the record of worker %r cannot be decoded", entry.worker)
        return None
    silent_for = entry.age_ms / 1000
    return WorkerInfo(
        name=entry.worker,
        host=record.host,
        pid=record.pid,
        version=record.version,
        started_at=record.started_at,
        silent_for=silent_for,
        alive=silent_for <= SILENT_AFTER,
        stopping=record.stopping,
        agents=tuple(record.agents),
        concurrency=record.concurrency,
        active=record.active,
        turns=tuple(HeldTurn(*turn) for turn in record.turns),
    )
