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

    async def list(self) -> list[RegistryEntry]:
        found: dict[str, RegistryEntry] = {}  # HSCAN may answer one twice
        cursor = b"0"
        while True:
            _, now, cursor, fields = await self._run("page", cursor, _PAGE)
            for field, value in zip(fields[::2], fields[1::2], strict=True):
                written, _, record = value.partition(b" ")
                name, age_ms = field.decode(), max(0, now - int(written))
                found[name] = RegistryEntry(name, age_ms, record)
            if cursor == b"0":
                break
        kept_ms = self._kept_ms
        kept = [each for each in found.values() if kept_ms is None or each.age_ms <= kept_ms]
        return sorted(kept, key=lambda entry: entry.name)

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(script(f"registry/{name}"), self._key, args)
