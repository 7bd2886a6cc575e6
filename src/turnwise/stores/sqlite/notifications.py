"""Wake-ups between the processes on one file, within milliseconds.

While somebody waits, the files' times and sizes are read every few milliseconds: a few system
calls that show whether anybody wrote, without a lock, a thread or SQLite. When they changed, and
from time to time in any case, SQLite is asked whether another process wrote. Only then the table of
wake-ups is read.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from turnwise.process import ProcessBound, keep_forever
from turnwise.stores.sqlite.queries import query

STAT_INTERVAL = 0.008
"""Seconds between two looks at the files' times and sizes, while somebody waits."""
LOOK_INTERVAL = 0.05
"""Seconds after which SQLite is asked in any case: the time of a file is a coarse one."""
_KEPT_MS = 60_000
_SUFFIXES = ("", "-wal", "-journal")

Stats = tuple[tuple[int, int] | None, ...]


class FileWatch(ProcessBound):
    """Calls `look` soon after anybody wrote to the database, while somebody waits.

    `look` returns whether it has begun to look; if not, it is called again. There is one timer for
    each event loop, and no task that would have to be ended.
    """

    def __init__(self, path: str, look: Callable[[], bool]) -> None:
        super().__init__()
        self._files = [path + suffix for suffix in _SUFFIXES]
        self._look = look
        self._timers: dict[asyncio.AbstractEventLoop, _Timer] = {}

    @contextmanager
    def active(self) -> Iterator[None]:
        """The block in which somebody waits."""
        loop = asyncio.get_running_loop()
        timer = self._timers.get(loop)
        if timer is None:
            timer = self._timers[loop] = _Timer(loop, self._stat, self._look)
        timer.users += 1
        try:
            yield
        finally:
            timer.users -= 1
            if timer.users == 0:
                timer.handle.cancel()
                self._timers.pop(loop, None)

    def reset_in_child(self) -> None:
        keep_forever(self._timers)
        self._timers = {}

    def _stat(self) -> Stats:
        return tuple(map(_stat, self._files))


class _Timer:
    def __init__(
        self, loop: asyncio.AbstractEventLoop, stat: Callable[[], Stats], look: Callable[[], bool]
    ) -> None:
        self.users = 0
        self._loop = loop
        self._stat = stat
        self._look = look
        self._last_stats: Stats | None = None
        self._last_look = 0.0
        self.handle = loop.call_later(STAT_INTERVAL, self._tick)

    def _tick(self) -> None:
        self.handle = self._loop.call_later(STAT_INTERVAL, self._tick)
        stats, now = self._stat(), time.monotonic()
        is_due = stats != self._last_stats or now - self._last_look >= LOOK_INTERVAL
        if is_due and self._look():  # if not, the look under way may have begun before the change
            self._last_stats, self._last_look = stats, now


def _stat(path: str) -> tuple[int, int] | None:
    """What changes when a file is written to."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class WakeUpTable:
    """The wake-ups in the file, as one connection has seen them."""

    def __init__(self) -> None:
        self._version: tuple[sqlite3.Connection, int] | None = None
        self._last_seen = 0

    def add(self, database: sqlite3.Connection, tokens: list[str], now: int) -> None:
        """Store wake-ups for other processes."""
        database.execute(query("delete_wake_ups"), {"now": now, "kept_ms": _KEPT_MS})
        rows = [{"token": token, "now": now} for token in tokens]
        database.executemany(query("add_wake_up"), rows)

    def new_tokens(self, database: sqlite3.Connection) -> list[str]:
        """The tokens that were woken since the last call, and perhaps a few from before."""
        (number,) = database.execute("PRAGMA data_version").fetchone()
        version = database, number  # each connection counts for itself
        if version == self._version:
            return []
        if self._version is not None and self._version[0] is not database:
            self._last_seen = 0  # the file may be another one at the same path
        rows = database.execute(query("new_wake_ups"), {"seen": self._last_seen}).fetchall()
        self._version = version  # not before: a file that is locked just now is read again
        if rows:
            self._last_seen, _ = rows[-1]
        return [token for _, token in rows]
