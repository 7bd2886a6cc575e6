"""Named records in this process's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from turnwise.process import LOCK
from turnwise.types import RegistryEntry

Records = dict[str, tuple[int, bytes]]
"""When each was written, and what."""


class MemoryRegistry:
    """The contract of `turnwise.contracts.Registry`, on records that several stores share."""

    def __init__(self, records: Records, clock: Callable[[], int], kept_ms: int | None) -> None:
        self._records = records
        self._clock = clock
        self._kept_ms = kept_ms

    async def write(self, name: str, record: bytes) -> None:
        await asyncio.sleep(0)
        with LOCK:
            self._records[name] = self._clock(), record

    async def remove(self, name: str) -> None:
        await asyncio.sleep(0)
        with LOCK:
            self._records.pop(name, None)

    async def read(self, name: str) -> RegistryEntry | None:
        await asyncio.sleep(0)
        now = self._clock()
        with LOCK:
            at, record = self._records.get(name, (now, None))
        if record is None or _is_old(now - at, self._kept_ms):
            return None
        return RegistryEntry(name, max(0, now - at), record)

    async def list(self) -> list[RegistryEntry]:
        await asyncio.sleep(0)
        now, kept_ms = self._clock(), self._kept_ms
        with LOCK:
            for name in [n for n, (at, _) in self._records.items() if _is_old(now - at, kept_ms)]:
                del self._records[name]
            found = sorted(self._records.items())
        return [RegistryEntry(name, max(0, now - at), record) for name, (at, record) in found]


def _is_old(age_ms: int, kept_ms: int | None) -> bool:
    return kept_ms is not None and age_ms > kept_ms
