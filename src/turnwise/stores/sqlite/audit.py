"""The audit as a table."""

from __future__ import annotations

import sqlite3

from turnwise.limits import AUDIT_KEPT
from turnwise.stores.embedded.verbs.session import WakeUp
from turnwise.stores.sqlite.host import Host
from turnwise.stores.sqlite.queries import query
from turnwise.types import AuditEntry

_AFTER_ALL = 2**63 - 1


class SQLiteAudit:
    """The contract of `turnwise.contracts.Audit`."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def write(self, op_id: str, record: bytes) -> int:
        def add(database: sqlite3.Connection) -> tuple[int, list[WakeUp]]:
            database.execute(query("add_audit"), (op_id, self._host.clock(), record))
            (number,) = database.execute(query("audit_number"), (op_id,)).fetchone()
            database.execute(query("trim_audit"), (number - AUDIT_KEPT,))
            return number, []

        return await self._host.call(add)

    async def amend(self, number: int, op_id: str, record: bytes) -> None:
        def change(database: sqlite3.Connection) -> tuple[None, list[WakeUp]]:
            database.execute(query("amend_audit"), (record, number, op_id))
            return None, []

        await self._host.call(change)

    async def page(self, count: int, before: int | None = None) -> list[AuditEntry]:
        def load(database: sqlite3.Connection) -> tuple[list[AuditEntry], list[WakeUp]]:
            rows = database.execute(query("audit_page"), (before or _AFTER_ALL, count))
            return [AuditEntry(*row) for row in rows], []

        return await self._host.call(load, writes=False)
