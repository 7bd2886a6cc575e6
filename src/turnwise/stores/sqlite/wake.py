"""Waiting for one's turn: woken by this process at once, by another one within a poll.

A poll is one cheap question for all who wait here: whether another process wrote to the file. Only
then is the table of wake-ups read.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress

from turnwise.stores.listeners import EventWake
from turnwise.stores.sqlite.queries import query

POLL = 0.03
"""Seconds between two looks at the file while somebody waits."""
_KEPT_MS = 60_000


class PolledWake(EventWake):
    """The wake-ups of one token. `look` is called every `POLL` seconds of waiting."""

    def __init__(self, longest: float, look: Callable[[], Awaitable[None]]) -> None:
        super().__init__(longest)
        self._look = look

    async def wait(self, timeout: float) -> None:
        until = time.monotonic() + min(timeout, self._longest)
        while not self.event.is_set() and (left := until - time.monotonic()) > 0:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.event.wait(), min(left, POLL))
            if not self.event.is_set():
                await self._look()
        self.event.clear()


@contextmanager
def polling(look: Callable[[], None]) -> Iterator[None]:
    """Have `look` called every `POLL` seconds, without a task that would have to be ended."""
    poll = _Poll(look)
    try:
        yield
    finally:
        poll.timer.cancel()


class _Poll:
    def __init__(self, look: Callable[[], None]) -> None:
        self._look = look
        self._loop = asyncio.get_running_loop()
        self.timer = self._loop.call_later(POLL, self._tick)

    def _tick(self) -> None:
        self.timer = self._loop.call_later(POLL, self._tick)
        self._look()


class Lookout:
    """The wake-ups in the file, written and seen; used in the connection's thread."""

    def __init__(self) -> None:
        self._version: int | None = None
        self._seen = 0

    def add(self, database: sqlite3.Connection, tokens: list[str], now: int) -> None:
        """Leave wake-ups for other processes."""
        database.execute(query("delete_wakes"), {"now": now, "kept": _KEPT_MS})
        rows = [{"token": token, "now": now} for token in tokens]
        database.executemany(query("add_wake"), rows)

    def look(self, database: sqlite3.Connection) -> list[str]:
        """The tokens that were woken since the last look; a few may have been seen before."""
        (version,) = database.execute("PRAGMA data_version").fetchone()
        if version == self._version:
            return []
        self._version = version
        rows = database.execute(query("new_wakes"), {"seen": self._seen}).fetchall()
        if rows:
            self._seen, _ = rows[-1]
        return [token for _, token in rows]
