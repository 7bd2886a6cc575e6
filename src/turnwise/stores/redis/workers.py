"""The worker registry: one hash for all workers."""

from __future__ import annotations

from typing import Any

from turnwise.limits import WORKER_KEPT_MS
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import WorkerEntry

_PAGE = 50


class RedisWorkers:
    """The contract of `turnwise.contracts.Workers`."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._transport = transport
        self._key = keys.workers

    async def write(self, worker: str, record: bytes) -> None:
        await self._run("write", worker, record, WORKER_KEPT_MS)

    async def remove(self, worker: str) -> None:
        await self._run("remove", worker)

    async def list(self) -> list[WorkerEntry]:
        found: dict[str, WorkerEntry] = {}  # HSCAN may answer one twice
        cursor = b"0"
        while True:
            _, now, cursor, fields = await self._run("page", cursor, _PAGE)
            for name, value in zip(fields[::2], fields[1::2], strict=True):
                written, _, record = value.partition(b" ")
                worker, age_ms = name.decode(), max(0, now - int(written))
                found[worker] = WorkerEntry(worker, age_ms, record)
            if cursor == b"0":
                break
        kept = [entry for entry in found.values() if entry.age_ms <= WORKER_KEPT_MS]
        return sorted(kept, key=lambda entry: entry.worker)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(script(f"workers/{name}"), self._key, args)
