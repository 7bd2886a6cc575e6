"""What running turns tell, in two tables."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence

from turnwise.stores.event_log import Log, after, token
from turnwise.stores.sqlite.host import Host, Wakes
from turnwise.stores.sqlite.queries import query
from turnwise.types import Events

_SWEPT_AT_ONCE = 10
_ALL = 2**62


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
        limits, wakes = self._host.limits, [("", token(session_id, turn_id))]

        def add(database: sqlite3.Connection) -> tuple[bool, Wakes]:
            now = self._host.clock()
            number, log = _load(database, session_id, turn_id, now)
            if log is not None and log.attempt > attempt:
                return False, []
            if log is None or log.attempt < attempt:
                if number is not None:
                    database.execute(query("drop_events"), (number, _ALL))
                log = Log(attempt, index, index)
            start = log.next
            new = events[max(0, start - index) :]
            log.next += len(new)
            log.first = max(log.first, log.next - limits.max_events)
            log.ended = log.ended or last
            log.expires = now + limits.events_ttl
            number = _save(database, session_id, turn_id, log)
            rows = [(number, place, content) for place, content in enumerate(new, start)]
            database.executemany(query("add_event"), rows)
            database.execute(query("drop_events"), (number, log.first))
            self._host.leave_wakes(database, wakes, now)
            return True, wakes

        return await self._host.call(add)

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, wait: float = 0
    ) -> Events:
        give_up = time.monotonic() + wait
        async with self._host.waiter(token(session_id, turn_id)) as wake:
            while True:
                answer = await self._read(session_id, turn_id, after)
                left = give_up - time.monotonic()
                if answer.events or answer.reset or answer.ended or left <= 0:
                    return answer
                await wake.wait(left)

    async def _read(self, session_id: str, turn_id: str, place: str | None) -> Events:
        def look(database: sqlite3.Connection) -> tuple[Events, Wakes]:
            number, log = _load(database, session_id, turn_id, self._host.clock())

            def load(start: int, end: int) -> list[bytes]:
                rows = database.execute(query("load_events"), (number, start, end))
                return [content for (content,) in rows]

            return after(log, place, load), []

        return await self._host.call(look, writes=False)


def remove_expired_events(database: sqlite3.Connection, now: int) -> bool:
    """Whether there may be more of them: one verb does not remove all."""
    logs = database.execute(query("expired_logs"), (now, _SWEPT_AT_ONCE)).fetchall()
    for (number,) in logs:
        database.execute(query("drop_events"), (number, _ALL))
        database.execute(query("delete_log"), (number,))
    return len(logs) == _SWEPT_AT_ONCE


def _load(
    database: sqlite3.Connection, session_id: str, turn_id: str, now: int
) -> tuple[int | None, Log | None]:
    """The log's number, and what it holds unless its time is over."""
    found = database.execute(query("load_log"), (session_id, turn_id)).fetchone()
    if found is None:
        return None, None
    number, attempt, first, following, ended, expires = found
    log = Log(attempt, first, following, bool(ended), expires)
    return number, log if expires > now else None


def _save(database: sqlite3.Connection, session_id: str, turn_id: str, log: Log) -> int:
    values = session_id, turn_id, log.attempt, log.first, log.next, log.ended, log.expires
    (number,) = database.execute(query("save_log"), values).fetchone()
    return int(number)
