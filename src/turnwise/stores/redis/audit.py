"""The audit: one list for all sessions, the newest record first."""

from __future__ import annotations

from typing import Any

from turnwise.limits import AUDIT_KEPT
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.scripts import script
from turnwise.stores.redis.transport import Transport
from turnwise.types import AuditEntry


class RedisAudit:
    """The contract of `turnwise.contracts.Audit`."""

    def __init__(self, transport: Transport, keys: Keys) -> None:
        self._transport = transport
        self._key = keys.audit

    async def write(self, op_id: str, record: bytes) -> int:
        _, number = await self._run("write", op_id, record, AUDIT_KEPT)
        return int(number)

    async def amend(self, number: int, op_id: str, record: bytes) -> None:
        await self._run("amend", number, op_id, record)

    async def page(self, count: int, before: int | None = None) -> list[AuditEntry]:
        _, found = await self._run("page", count, before or 0)
        return [_entry(*each.split(b" ", 3)) for each in found]

    async def _run(self, name: str, *args: Any) -> Any:
        return await self._transport.run(script(f"audit/{name}"), self._key, args)


def _entry(number: bytes, at_ms: bytes, _op_id: bytes, record: bytes) -> AuditEntry:
    return AuditEntry(int(number), int(at_ms), record)
