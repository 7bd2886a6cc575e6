"""The audit in this process's memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import count, islice

from turnwise.limits import AUDIT_KEPT
from turnwise.process import LOCK
from turnwise.types import AuditEntry


class AuditLog:
    """What all stores on one memory share: records by their op_ids, the oldest first."""

    def __init__(self) -> None:
        self.records: dict[str, AuditEntry] = {}
        self.numbers = count(1)


class MemoryAudit:
    """The contract of `turnwise.contracts.Audit`."""

    def __init__(self, log: AuditLog, clock: Callable[[], int]) -> None:
        self._log = log
        self._clock = clock

    async def write(self, op_id: str, record: bytes) -> int:
        await asyncio.sleep(0)
        with LOCK:
            records = self._log.records
            if op_id not in records:
                records[op_id] = AuditEntry(next(self._log.numbers), self._clock(), record)
            if len(records) > AUDIT_KEPT:
                del records[next(iter(records))]
            return records[op_id].number

    async def amend(self, number: int, op_id: str, record: bytes) -> None:
        await asyncio.sleep(0)
        with LOCK:
            known = self._log.records.get(op_id)
            if known is not None:
                self._log.records[op_id] = replace(known, record=record)

    async def page(self, count: int, before: int | None = None) -> list[AuditEntry]:
        await asyncio.sleep(0)
        with LOCK:
            newest = reversed(self._log.records.values())
            found = (entry for entry in newest if before is None or entry.number < before)
            return list(islice(found, count))
