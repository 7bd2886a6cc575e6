"""Named records: one hash for all of a kind."""

from __future__ import annotations

from typing import Any

from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import RegistryEntry

_PAGE = 50


class RedisRegistry:
    """The contract of `turnwise.contracts.Registry`.

    Args:
        transport: of the store.
        key: the hash's.
        kept_ms: how long a record stays that nobody writes again; None for ever.
    """

    def __init__(self, transport: Transport, key: str, kept_ms: int | None) -> None:
        self._transport = transport
        self._key = key
        self._kept_ms = kept_ms

    async def write(self, name: str, record: bytes) -> None:
        await self._run("write", name, record, self._kept_ms or 0)

    async def remove(self, name: str) -> None:
        await self._run("remove", name)

    async def read(self, name: str) -> RegistryEntry | None:
        word, *found = await self._run("read", name)
        entry = _entry(name, *found) if word == b"ok" else None
        return entry if entry is not None and self._is_kept(entry) else None

    async def list(self) -> list[RegistryEntry]:
        found: dict[str, RegistryEntry] = {}  # HSCAN may answer one twice
        cursor = b"0"
        while True:
            _, now, cursor, fields = await self._run("page", cursor, _PAGE)
            for field, value in zip(fields[::2], fields[1::2], strict=True):
                name = field.decode()
                found[name] = _entry(name, now, value)
            if cursor == b"0":
                break
        return sorted(filter(self._is_kept, found.values()), key=lambda entry: entry.name)

    def _is_kept(self, entry: RegistryEntry) -> bool:
        return self._kept_ms is None or entry.age_ms <= self._kept_ms

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(script(f"registry/{name}"), self._key, args)


def _entry(name: str, now: int, value: bytes) -> RegistryEntry:
    written, _, record = value.partition(b" ")
    return RegistryEntry(name, max(0, now - int(written)), record)
