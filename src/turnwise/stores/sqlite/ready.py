"""Which sessions have messages, by a table that every verb keeps up to date."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from turnwise.stores.embedded.ready import EmbeddedReady
from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.stores.embedded.verbs.session import WakeUp
from turnwise.stores.sqlite.host import Host
from turnwise.stores.sqlite.queries import query
from turnwise.stores.sqlite.state import SQLiteState


class SQLiteReady(EmbeddedReady):
    """The contract of `turnwise.contracts.Ready` for the processes on one file."""

    def __init__(self, store: EmbeddedStore, host: Host) -> None:
        super().__init__(store)
        self._host = host
        self._claimed_file = f"{host.path}-claimed"

    async def _note_claim(self, now: int) -> None:
        """By the time of a file beside the database: an idle worker takes no write lock."""
        with suppress(OSError):
            os.close(os.open(self._claimed_file, os.O_CREAT | os.O_WRONLY, 0o644))
            os.utime(self._claimed_file, ns=(now * 10**6, now * 10**6))

    async def _last_claim(self) -> int | None:
        try:
            return os.stat(self._claimed_file).st_mtime_ns // 10**6
        except OSError:
            return None

    async def announced(self, count: int) -> list[str]:
        def load(database: sqlite3.Connection) -> tuple[list[str], list[WakeUp]]:
            rows = database.execute(query("announced"), (self._host.clock(), count))
            return [session_id for (session_id,) in rows], []

        return await self._host.call(load, writes=False)

    async def _unclaimed(self, now: int) -> tuple[int, int | None]:
        def count(database: sqlite3.Connection) -> tuple[tuple[int, int | None], list[WakeUp]]:
            found: tuple[int, int | None]
            found = database.execute(query("unclaimed"), (now, now)).fetchone()
            return found, []

        return await self._host.call(count, writes=False)

    async def _take(self, worker: str, count: int, now: int, until: int) -> list[str]:
        def take(database: sqlite3.Connection) -> tuple[list[str], list[WakeUp]]:
            rows = database.execute(query("ready_sessions"), (now, now, count)).fetchall()
            for row, _ in rows:
                database.execute(query("claim_ready"), (worker, until, row))
            return [session_id for _, session_id in rows], []

        # It begins as a reading transaction, so an idle worker takes no write lock. If another
        # process writes before the claim does, SQLite refuses the claim, and all is done again.
        return await self._host.call(take, writes=False)

    async def _move(self, worker: str, sessions: list[str], to: str, until: int) -> None:
        def move(database: sqlite3.Connection) -> tuple[None, list[WakeUp]]:
            rows = [(to, until, worker, session_id) for session_id in sessions]
            database.executemany(query("move_claim"), rows)
            return None, []

        if sessions:
            await self._host.call(move)

    async def _end_claim(self, session_id: str) -> None:
        def end(database: sqlite3.Connection) -> tuple[None, list[WakeUp]]:
            SQLiteState(database, session_id, self._host.clock()).end_claim()
            return None, []

        await self._host.call(end)

    async def _free(self, worker: str, sessions: list[str]) -> None:
        def free(database: sqlite3.Connection) -> tuple[None, list[WakeUp]]:
            now = self._host.clock()
            for session_id in sessions:
                SQLiteState(database, session_id, now).free_claim(worker)
            return None, []

        if sessions:
            await self._host.call(free)
