"""Waiting for one's turn: woken by this process at once, by another one within milliseconds.

Whoever waits has the files glanced at: a few calls of the system that tell whether anybody wrote,
without a lock, a thread or SQLite. Only then, and every now and then to be sure, SQLite is asked
whether another process did; and only if it says so, the table of wake-ups is read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from turnwise.process import ProcessBound, put_aside
from turnwise.stores.sqlite.queries import query

GLANCE = 0.008
"""Seconds between two glances at the files while somebody waits."""
POLL = 0.05
"""Seconds after which SQLite is asked whatever a glance saw: the time of a file is a coarse one."""
_KEPT_MS = 60_000
_FILES = ("", "-wal", "-journal")

Seen = tuple[tuple[int, int] | None, ...]


class Watch(ProcessBound):
    """Has `look` called soon after anybody wrote to the database, while somebody waits.

    It answers whether it looks from now on; if not, it is called again.
    One timer for each event loop, however many wait in it, and no task that would have to be ended.
    """

    def __init__(self, path: str, look: Callable[[], bool]) -> None:
        super().__init__()
        self._files = [path + ending for ending in _FILES]
        self._look = look
        self._timers: dict[asyncio.AbstractEventLoop, _Timer] = {}

    @contextmanager
    def kept(self) -> Iterator[None]:
        """The block in which somebody waits."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(loop)
        if timer is None:
            timer = self._timers[loop] = _Timer(loop, self._glance, self._look)
        timer.waiting += 1
        try:
            yield
        finally:
            timer.waiting -= 1
            if timer.waiting == 0:
                timer.handle.cancel()
                self._timers.pop(loop, None)

    def forked(self) -> None:
        put_aside(self._timers)
        self._timers = {}

    def _glance(self) -> Seen:
        return tuple(map(_written, self._files))


class _Timer:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, glance: Callable[[], Seen], look: Callable[[], bool]
    ) -> None:
        self.waiting = 0
        self._loop = loop
        self._glance = glance
        self._look = look
        self._seen: Seen | None = None
        self._looked = 0.0
        self.handle = loop.call_later(GLANCE, self._tick)

    def _tick(self) -> None:
        self.handle = self._loop.call_later(GLANCE, self._tick)
        seen, now = self._glance(), time.monotonic()
        is_due = seen != self._seen or now - self._looked >= POLL
        if is_due and self._look():  # if not: a look is on its way, which may have come too early
            self._seen, self._looked = seen, now


def _written(path: str) -> tuple[int, int] | None:
    """What changes when a file is written to."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class Lookout:
    """The wake-ups in the file, written and seen; used in the connection's thread."""

    def __init__(self) -> None:
        self._version: tuple[sqlite3.Connection, int] | None = None
        self._seen = 0

    def add(self, database: sqlite3.Connection, tokens: list[str], now: int) -> None:
        """Leave wake-ups for other processes."""
        database.execute(query("delete_wakes"), {"now": now, "kept": _KEPT_MS})
        rows = [{"token": token, "now": now} for token in tokens]
        database.executemany(query("add_wake"), rows)

    def look(self, database: sqlite3.Connection) -> list[str]:
        """The tokens that were woken since the last look; a few may have been seen before."""
        (number,) = database.execute("PRAGMA data_version").fetchone()
        version = database, number  # each connection counts for itself
        if version == self._version:
            return []
        self._version = version
        rows = database.execute(query("new_wakes"), {"seen": self._seen}).fetchall()
        if rows:
            self._seen, _ = rows[-1]
        return [token for _, token in rows]
