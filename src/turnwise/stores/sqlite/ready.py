"""Which sessions have messages, by the table that every verb keeps up to date."""

from __future__ import annotations

import sqlite3

from turnwise.stores.embedded.ready import EmbeddedReady
from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.stores.sqlite.host import Host, Wakes
from turnwise.stores.sqlite.queries import query
from turnwise.stores.sqlite.state import SQLiteState


class SQLiteReady(EmbeddedReady):
    """The contract of `turnwise.contracts.Ready` for the processes on one file."""

    def __init__(self, store: EmbeddedStore, host: Host) -> None:
        super().__init__(store)
        self._host = host

    async def _take(self, worker: str, count: int, now: int, until: int) -> list[str]:
        def take(database: sqlite3.Connection) -> tuple[list[str], Wakes]:
            rows = database.execute(query("ready_sessions"), (now, now, count)).fetchall()
            for row, _ in rows:
                database.execute(query("claim_ready"), (worker, until, row))
            return [session_id for _, session_id in rows], []

        # An idle worker writes nothing, and takes no lock for it: a transaction that only reads,
        # until something is found. Is the file somebody else's then, it is done again.
        return await self._host.call(take, writes=False)

    async def _move(self, worker: str, sessions: list[str], to: str, until: int) -> None:
        def move(database: sqlite3.Connection) -> tuple[None, Wakes]:
            rows = [(to, until, worker, session_id) for session_id in sessions]
            database.executemany(query("move_claim"), rows)
            return None, []

        if sessions:
            await self._host.call(move)

    async def _free(self, worker: str, sessions: list[str]) -> None:
        def free(database: sqlite3.Connection) -> tuple[None, Wakes]:
            now = self._host.clock()
            for session_id in sessions:
                SQLiteState(database, session_id, now).free(worker)
            return None, []

        if sessions:
            await self._host.call(free)
