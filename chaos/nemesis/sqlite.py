"""Faults of a SQLite database."""

from __future__ import annotations

import asyncio
import sqlite3

from chaos.history import Fault
from chaos.nemesis.kind import FaultContext, FaultKind


class HoldLock(FaultKind):
    """Another process holds the write lock for a while."""

    name = "database locked"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        database = _open_database(context)
        try:
            await asyncio.to_thread(database.execute, "BEGIN IMMEDIATE")
            await context.sleep(0.1, 1.5 * context.lease)
        finally:
            database.close()


class LongRead(FaultKind):
    """Another process holds a read transaction, so that the WAL cannot be truncated."""

    name = "long read transaction"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        database = _open_database(context)
        try:
            database.execute("BEGIN")
            await asyncio.to_thread(database.execute, "SELECT count(*) FROM sqlite_master")
            await asyncio.sleep(context.rng.uniform(0.1, context.lease))
        finally:
            database.close()


def _open_database(context: FaultContext) -> sqlite3.Connection:
    """Its statements wait for locks in a thread."""
    return sqlite3.connect(
        context.topology.path, timeout=10.0, isolation_level=None, check_same_thread=False
    )
