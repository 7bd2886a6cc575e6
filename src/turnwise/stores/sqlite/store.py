"""Sessions in a SQLite file. Each verb is done in a transaction, in the connection's own thread."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from concurrent.futures import Future
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TypeVar

from turnwise.errors import StoreRefused
from turnwise.limits import Limits
from turnwise.process import PerProcess
from turnwise.stores.embedded.store import Clock, EmbeddedStore, system_clock
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.embedded.verbs.session import NewDeadLetter
from turnwise.stores.listeners import Callback, EventWaiter
from turnwise.stores.sqlite.batch import Call
from turnwise.stores.sqlite.events import SQLiteEvents, remove_expired_events
from turnwise.stores.sqlite.files import absolute
from turnwise.stores.sqlite.host import Wakes
from turnwise.stores.sqlite.notifications import Lookout, Watch
from turnwise.stores.sqlite.queries import query
from turnwise.stores.sqlite.ready import SQLiteReady
from turnwise.stores.sqlite.state import SQLiteState, delete
from turnwise.stores.sqlite.thread import Connections

T = TypeVar("T")

SWEEP_MS = 60_000
"""How often a writing process removes sessions that expired without anybody asking for them."""
_SWEPT_AT_ONCE = 10
_PAGE = 1000


class SQLiteStore(EmbeddedStore):
    """The contract of `turnwise.contracts.Store` in one file, for the processes of one machine.

    The file is made with the first call, its directory is not. A call waits `busy_timeout`
    seconds for other processes to let go of the file, then raises `StoreUnavailable`.
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
        self._lookouts = PerProcess(Lookout)
        self._watch = Watch(self.path, self._look)
        self._looks: PerProcess[list[Future[None]]] = PerProcess(list)
        self._swept = 0
        self.ready = SQLiteReady(self, self)
        self.events = SQLiteEvents(self)

    async def ping(self) -> None:
        await self._connections.run(_ask)

    async def aclose(self) -> None:
        await self._connections.aclose()

    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        def apply(database: sqlite3.Connection) -> tuple[T, Wakes]:
            return self._apply(database, session_id, verb, reads=reads)

        return await self.call(apply, session_id, writes=not reads)

    async def call(
        self,
        apply: Callable[[sqlite3.Connection], tuple[T, Wakes]],
        session_id: str | None = None,
        *,
        writes: bool = True,
    ) -> T:
        """Do something in a transaction of the connection's thread, then wake whom it tells."""

        def then(applied: tuple[T, Wakes]) -> T:
            answer, wake = applied
            self._notify(wake)
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
    ) -> tuple[T, Wakes]:
        now = self.clock()
        state = SQLiteState(database, session_id, now)
        verbs = self._verbs(state)
        answer = verb(verbs)
        if not reads:
            state.save()
            for letter in verbs.dead_letters:
                values = letter.id, session_id, letter.turn_id, letter.at, letter.content
                database.execute(query("add_letter"), values)
            self.leave_wakes(database, verbs.wake, now)
            self._sweep(database, now)
        return answer, verbs.wake

    @property
    def _lookout(self) -> Lookout:
        return self._lookouts.get()

    def leave_wakes(self, database: sqlite3.Connection, wake: Wakes, now: int) -> None:
        """For other processes: what is nobody's in particular, and tokens that are not known here.

        Those of this process are woken in the connection's thread, so that no cancelled task can
        lose a wake-up.
        """
        elsewhere = [token for worker, token in wake if not worker or token not in self._listeners]
        if elsewhere:
            self._lookout.add(database, elsewhere, now)

    def _look_at(self, database: sqlite3.Connection) -> None:
        self._notify([("", token) for token in self._lookout.look(database)])

    def _look(self) -> bool:
        """Wake whom other processes want woken, soon; whether it begins now.

        A wake-up is a hint, so nobody is told of errors: the verb that follows will tell.
        """
        looks = self._looks.get()
        if looks and not looks[0].done():
            return False
        looks[:] = [self._connections.tell(self._look_at)]
        return True

    def _sweep(self, database: sqlite3.Connection, now: int) -> None:
        if abs(now - self._swept) >= SWEEP_MS:
            more = _remove_expired(database, now) or remove_expired_events(database, now)
            self._swept = 0 if more else now

    async def _session_ids(self) -> Iterable[str]:
        with suppress(StoreRefused):  # what cannot be removed, as on a read-only disk, is skipped
            while await self._connections.run(lambda database: _expired(database, self.clock())):
                await self._connections.call(Call(self._remove_expired, writes=True))
        after, session_ids = "", list[str]()
        while page := await self._connections.run(self._page_of_ids(after)):
            session_ids += page
            after = page[-1]
        return session_ids

    def _remove_expired(self, database: sqlite3.Connection) -> bool:
        return _remove_expired(database, self.clock())

    def _page_of_ids(self, after: str) -> Callable[[sqlite3.Connection], list[str]]:
        place = {"after": after, "now": self.clock(), "count": _PAGE}
        return lambda database: [row[0] for row in database.execute(query("session_ids"), place)]

    async def _dead_letters(self, count: int, after: str) -> list[tuple[str, NewDeadLetter]]:
        def load(database: sqlite3.Connection) -> list[tuple[str, NewDeadLetter]]:
            rows = database.execute(query("letters_after"), (after, count))
            return [(session_id, NewDeadLetter(*letter)) for session_id, *letter in rows]

        return await self._connections.run(load)

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        def remove(database: sqlite3.Connection) -> tuple[None, Wakes]:
            database.execute(query("delete_letter"), (dead_letter_id,))
            return None, []

        await self.call(remove)

    @asynccontextmanager
    async def waiter(self, token: str) -> AsyncIterator[EventWaiter]:
        wake = EventWaiter(self._longest_wait)
        with self._listeners.listening(token, wake.event.set), self._watch.kept():
            yield wake

    @contextmanager
    def on_wakeup(self, token: str, callback: Callback) -> Iterator[None]:
        with self._listeners.listening(token, callback), self._watch.kept():
            yield


def _expired(database: sqlite3.Connection, now: int) -> list[int]:
    place = {"now": now, "count": _SWEPT_AT_ONCE}
    return [row for (row,) in database.execute(query("expired_sessions"), place)]


def _remove_expired(database: sqlite3.Connection, now: int) -> bool:
    """Whether there may be more of them: one verb does not remove all."""
    rows = _expired(database, now)
    for row in rows:
        delete(database, row)
    return len(rows) == _SWEPT_AT_ONCE


def _ask(database: sqlite3.Connection) -> None:
    database.execute("SELECT count(*) FROM sqlite_master").fetchone()
