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
        database = sqlite3.connect(field.topology.path, timeout=5.0, isolation_level=None)
        try:
            database.execute("BEGIN IMMEDIATE")
            await field.sleep(0.1, 1.5 * field.lease)
            database.execute("ROLLBACK")
        finally:
            database.close()


class ReadLong(Strike):
    """Another program reads for a while, which keeps the file from being shortened."""

    kind = "file read for long"

    async def strike(self, field: Field, fault: Fault) -> None:
        database = sqlite3.connect(field.topology.path, timeout=5.0, isolation_level=None)
        try:
            database.execute("BEGIN")
            database.execute("SELECT count(*) FROM sqlite_master").fetchall()
            await asyncio.sleep(field.rng.uniform(0.1, field.lease))
            database.execute("ROLLBACK")
        finally:
            database.close()
