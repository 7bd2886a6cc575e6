"""Sessions in a SQLite file. Each verb is a transaction, in the connection's own thread."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import TypeVar

from turnwise.errors import StoreRefused
from turnwise.limits import WORKER_KEPT_MS, Limits
from turnwise.process import PerProcess
from turnwise.stores.embedded.store import Clock, EmbeddedStore, system_clock
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.embedded.verbs.session import NewDeadLetter, WakeUp
from turnwise.stores.listeners import Callback, EventWaiter, event_waiter
from turnwise.stores.sqlite.audit import SQLiteAudit
from turnwise.stores.sqlite.batch import Call
from turnwise.stores.sqlite.events import SQLiteEvents, remove_expired_events
from turnwise.stores.sqlite.files import absolute
from turnwise.stores.sqlite.notifications import FileWatch, WakeUpTable
from turnwise.stores.sqlite.queries import query
from turnwise.stores.sqlite.ready import SQLiteReady
from turnwise.stores.sqlite.registry import SQLiteRegistry
from turnwise.stores.sqlite.state import SQLiteState, delete, summary
from turnwise.stores.sqlite.thread import Connections
from turnwise.types import SessionSummary

T = TypeVar("T")

SWEEP_INTERVAL_MS = 60_000
"""How often a writing process removes expired sessions that no call asks for."""
_SWEPT_AT_ONCE = 10


@dataclass
class _Sweep:
    """When this process removed expired sessions last, in ms: for all views of a store."""

    at: int = 0


class SQLiteStore(EmbeddedStore):
    """The contract of `turnwise.contracts.Store` in one file, for the processes of one machine.

    The first call creates the file, but not its directory. A call waits `busy_timeout` seconds for
    other processes that have locked the file, then raises `StoreUnavailable`.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        limits: Limits | None = None,
        clock: Clock = system_clock,
        busy_timeout: float = 10.0,
    ) -> None:
        super().__init__(limits=limits, clock=clock)
        self.path = absolute(path)
        self._connections = Connections(self.path, busy_timeout)
        self._wake_up_table = PerProcess(WakeUpTable)
        self._watch = FileWatch(self.path, self._look)
        self._looks: PerProcess[list[Future[None]]] = PerProcess(list)
        self._swept = _Sweep()
        self.ready = SQLiteReady(self, self)
        self.events = self._events()
        self.workers = SQLiteRegistry(self, "workers", WORKER_KEPT_MS)
        self.orders = SQLiteRegistry(self, "orders", None)
        self.counts = SQLiteRegistry(self, "counts", WORKER_KEPT_MS)
        self.api_keys = SQLiteRegistry(self, "api-keys", None)
        self.open_turns = SQLiteRegistry(self, "open-turns", WORKER_KEPT_MS)
        self.webhooks = SQLiteRegistry(self, "webhooks", None)
        self.audit = SQLiteAudit(self)

    def _events(self) -> SQLiteEvents:
        return SQLiteEvents(self)

    async def ping(self) -> None:
        await self._connections.run(_ping)

    async def aclose(self) -> None:
        await self._connections.aclose()

    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        def apply(database: sqlite3.Connection) -> tuple[T, list[WakeUp]]:
            return self._apply(database, session_id, verb, reads=reads)

        return await self.call(apply, session_id, writes=not reads)

    async def call(
        self,
        apply: Callable[[sqlite3.Connection], tuple[T, list[WakeUp]]],
        session_id: str | None = None,
        *,
        writes: bool = True,
    ) -> T:
        """Run `apply` in a transaction; return its answer, and wake whom it names."""

        def then(applied: tuple[T, list[WakeUp]]) -> T:
            answer, wake_ups = applied
            self._notify(wake_ups)
            return answer

        answer: T = await self._connections.call(Call(apply, writes, session_id, then))
        return answer

    def _apply(
        self,
        database: sqlite3.Connection,
        session_id: str,
        verb: Callable[[Verbs], T],
        *,
        reads: bool,
    ) -> tuple[T, list[WakeUp]]:
        now = self.clock()
        state = SQLiteState(database, session_id, now)
        verbs = self._verbs(state)
        answer = verb(verbs)
        if not reads:
            state.save()
            for letter in verbs.dead_letters:
                values = letter.id, session_id, letter.turn_id, letter.at_ms, letter.content
                database.execute(query("add_dead_letter"), values)
            self.leave_wake_ups(database, verbs.wake_ups, now)
            self._sweep(database, now)
        return answer, verbs.wake_ups

    def leave_wake_ups(
        self, database: sqlite3.Connection, wake_ups: list[WakeUp], now: int
    ) -> None:
        """Store wake-ups for other processes: those for any worker, and tokens unknown here.

        This process's own are woken in the connection's thread, so that a cancelled task cannot
        lose them.
        """
        others = [token for worker, token in wake_ups if not worker or token not in self._listeners]
        if others:
            self._wake_up_table.get().add(database, others, now)

    def _look(self) -> bool:
        """Start to look for wake-ups from other processes; False if a look is under way.

        Errors are ignored: wake-ups are hints, and the verb that follows raises.
        """
        looks = self._looks.get()
        if looks and not looks[0].done():
            return False
        looks[:] = [self._connections.start(self._wake)]
        return True

    def _wake(self, database: sqlite3.Connection) -> None:
        self._notify([("", token) for token in self._wake_up_table.get().new_tokens(database)])

    def _sweep(self, database: sqlite3.Connection, now: int) -> None:
        if abs(now - self._swept.at) >= SWEEP_INTERVAL_MS:
            more = _remove_expired(database, now) or remove_expired_events(database, now)
            self._swept.at = 0 if more else now

    async def _remove_all_expired(self) -> None:
        with suppress(StoreRefused):  # a read-only disk, say: then the expired are skipped below
            while await self._connections.run(lambda database: _expired(database, self.clock())):
                await self._connections.call(Call(self._remove_expired, writes=True))

    def _remove_expired(self, database: sqlite3.Connection) -> bool:
        return _remove_expired(database, self.clock())

    async def _page(self, after: str, count: int) -> list[SessionSummary]:
        now = self.clock()
        arguments = {"after": after, "now": now, "count": count, "owner": self.owner}
        statement = query("session_page" if self.owner is None else "owner_page")

        def load(database: sqlite3.Connection) -> list[SessionSummary]:
            rows = database.execute(statement, arguments)
            return [summary(name, header, queued, now) for name, header, queued in rows]

        return await self._connections.run(load)

    async def _dead_letters(self, count: int, after: str) -> list[tuple[str, NewDeadLetter]]:
        def load(database: sqlite3.Connection) -> list[tuple[str, NewDeadLetter]]:
            rows = database.execute(query("dead_letters_after"), (after, count))
            return [(session_id, NewDeadLetter(*letter)) for session_id, *letter in rows]

        return await self._connections.run(load)

    async def count_dead_letters(self) -> int:
        def count(database: sqlite3.Connection) -> int:
            return int(database.execute(query("count_dead_letters")).fetchone()[0])

        return await self._connections.run(count)

    async def _delete_dead_letter(self, dead_letter_id: str) -> None:
        def remove(database: sqlite3.Connection) -> tuple[None, list[WakeUp]]:
            database.execute(query("delete_dead_letter"), (dead_letter_id,))
            return None, []

        await self.call(remove)

    @asynccontextmanager
    async def waiter(self, token: str) -> AsyncIterator[EventWaiter]:
        async with event_waiter(self._listeners, token, self._max_wait) as waiter:
            with self._watch.active():
                yield waiter

    @contextmanager
    def on_wakeup(self, token: str, callback: Callback) -> Iterator[None]:
        with self._listeners.listening(token, callback), self._watch.active():
            yield


def _expired(database: sqlite3.Connection, now: int) -> list[int]:
    arguments = {"now": now, "count": _SWEPT_AT_ONCE}
    return [row for (row,) in database.execute(query("expired_sessions"), arguments)]


def _remove_expired(database: sqlite3.Connection, now: int) -> bool:
    """Remove some; whether there may be more. One verb does not remove them all."""
    rows = _expired(database, now)
    for row in rows:
        delete(database, row)
    return len(rows) == _SWEPT_AT_ONCE


def _ping(database: sqlite3.Connection) -> None:
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()
