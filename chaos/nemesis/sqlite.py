"""Faults of a database file."""

from __future__ import annotations

import asyncio
import sqlite3

from chaos.history import Fault
from chaos.nemesis.fault import Field, Strike


class HoldLock(Strike):
    """Another program holds the file's lock for a while."""

    kind = "file locked"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        database = _opened(field)
        try:
            await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
            await field.sleep(0.1, 1.5 * field.lease)
        finally:
            database.close()


class ReadLong(Strike):
    """Another program reads for a while, which keeps the file from being shortened."""

    kind = "file read for long"

    async def strike(self, field: Field, fault: Fault) -> None:
        database = _opened(field)
        try:
            database.execute("BEGIN")
            await asyncio.to_thread(database.execute, "SELECT count(*) FROM sqlite_master")
            await asyncio.sleep(field.rng.uniform(0.1, field.lease))
        finally:
            database.close()


def _opened(field: Field) -> sqlite3.Connection:
    """It waits for locks in a thread."""
    return sqlite3.connect(
        field.topology.path, timeout=10.0, isolation_level=None, check_same_thread=False
    )
