"""The event log, in two tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from turnwise.stores.embedded.verbs.session import WakeUp
from turnwise.stores.event_log import Log, events_after, visible, wait_for_events, wake_token
from turnwise.stores.sqlite.host import Host
from turnwise.stores.sqlite.queries import query
from turnwise.types import Events

_SWEPT_AT_ONCE = 10
_END = 2**62
"""A number above that of any event."""


class SQLiteEvents:
    """The contract of `turnwise.contracts.EventLog` for the processes on one file."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def append(
        self,
        session_id: str,
        turn_id: str,
        attempt: int,
        index: int,
        events: Sequence[bytes],
        *,
        last: bool = False,
    ) -> bool:
        limits, wake_ups = self._host.limits, [("", wake_token(session_id, turn_id))]

        def add(database: sqlite3.Connection) -> tuple[bool, list[WakeUp]]:
            now = self._host.clock()
            row, log = _load(database, session_id, turn_id, now)
            if log is not None and log.owner != self._host.owner:
                log = None  # an earlier session's
            if log is not None and log.attempt > attempt:
                return False, []
            if log is None or log.attempt < attempt:
                if row is not None:
                    database.execute(query("delete_events"), (row, _END))
                log = Log(attempt, index, index, owner=self._host.owner)
            start = log.next
            new = events[max(0, start - index) :]
            log.next += len(new)
            log.first = max(log.first, log.next - limits.max_events)
            log.ended = log.ended or last
            log.expires = now + limits.events_ttl_ms
            row = _save(database, session_id, turn_id, log)
            rows = [(row, number, content) for number, content in enumerate(new, start)]
            database.executemany(query("add_event"), rows)
            database.execute(query("delete_events"), (row, log.first))
            self._host.leave_wake_ups(database, wake_ups, now)
            return True, wake_ups

        return await self._host.call(add)

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, timeout: float = 0
    ) -> Events:
        async def read() -> Events:
            return await self._read(session_id, turn_id, after)

        async with self._host.waiter(wake_token(session_id, turn_id)) as waiter:
            return await wait_for_events(read, waiter, timeout)

    async def _read(self, session_id: str, turn_id: str, cursor: str | None) -> Events:
        def look(database: sqlite3.Connection) -> tuple[Events, list[WakeUp]]:
            row, log = _load(database, session_id, turn_id, self._host.clock())

            def load(start: int, end: int) -> list[bytes]:
                rows = database.execute(query("load_events"), (row, start, end))
                return [content for (content,) in rows]

            return events_after(visible(log, self._host.owner), cursor, load), []

        return await self._host.call(look, writes=False)


def remove_expired_events(database: sqlite3.Connection, now: int) -> bool:
    """Remove some; whether there may be more. One verb does not remove them all."""
    logs = database.execute(query("expired_event_logs"), (now, _SWEPT_AT_ONCE)).fetchall()
    for (row,) in logs:
        database.execute(query("delete_events"), (row, _END))
        database.execute(query("delete_event_log"), (row,))
    return len(logs) == _SWEPT_AT_ONCE


def _load(
    database: sqlite3.Connection, session_id: str, turn_id: str, now: int
) -> tuple[int | None, Log | None]:
    """The row of the log, and the log unless it has expired."""
    found = database.execute(query("load_event_log"), (session_id, turn_id)).fetchone()
    if found is None:
        return None, None
    row, attempt, first, next_number, ended, expires, owner = found
    log = Log(attempt, first, next_number, bool(ended), expires, owner)
    return row, log if expires > now else None


def _save(database: sqlite3.Connection, session_id: str, turn_id: str, log: Log) -> int:
    values = log.attempt, log.first, log.next, log.ended, log.expires, log.owner
    saved = database.execute(query("save_event_log"), (session_id, turn_id, *values))
    (row,) = saved.fetchone()
    return int(row)
