"""Verbs that wait for the file together share one transaction: one wait for the disk for all.

Each verb still takes effect wholly or not at all, and none is answered before the commit.
"""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from turnwise.stores.sqlite.errors import is_lock

T = TypeVar("T")
Apply = Callable[[sqlite3.Connection], Any]
"""One verb inside a transaction. It may be called again after a rollback."""

MOST = 32
"""Verbs in one transaction."""
_POLL_S = 0.001
# SQLite itself sleeps for ever longer while it waits, so that a process that writes all the time
# keeps the others out for seconds. So waits are short here, and a writer lets others go first.
_REST_S = 0.002


@dataclass(slots=True)
class Call:
    """A verb on its way, on `session_id` or on none.

    `then` makes the answer of what `apply` returned, once that stands.
    """

    apply: Apply
    writes: bool
    session_id: str | None = None
    then: Callable[[Any], Any] = lambda applied: applied
    future: Future[Any] = field(default_factory=Future)


class Turnstile:
    """How one process takes its turn at a file; `patience` is how many seconds it waits."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._version: int | None = None
        self._others_write = False
        self._rest_until = 0.0

    def patiently(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, once no other process is in its way."""
        give_up = time.monotonic() + self._patience
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not is_lock(error) or time.monotonic() >= give_up:
                    raise
            time.sleep(random.uniform(_POLL_S / 2, _POLL_S * 2))

    def run(self, database: sqlite3.Connection, calls: Sequence[Call]) -> list[Any]:
        """The answers of `calls`, committed; an exception in the place of an answer, for one."""
        if not any(call.writes for call in calls):
            return self.patiently(lambda: self._attempt(database, calls, "BEGIN"))
        if self._others_write:
            time.sleep(max(0.0, self._rest_until - time.monotonic()))
        try:
            return self._attempt(database, calls, "BEGIN IMMEDIATE")
        finally:
            self._rest_until = time.monotonic() + _REST_S

    def _attempt(
        self, database: sqlite3.Connection, calls: Sequence[Call], begin: str
    ) -> list[Any]:
        if begin == "BEGIN":
            database.execute(begin)
        else:
            self.patiently(lambda: database.execute(begin))
        try:
            answers = _answers(database, calls)
            if begin != "BEGIN":
                self._look_for_others(database)
            self.patiently(lambda: database.execute("COMMIT"))
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return answers

    def _look_for_others(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA data_version").fetchone()
        self._others_write = version != self._version
        self._version = version


def _answers(database: sqlite3.Connection, calls: Sequence[Call]) -> list[Any]:
    if len(calls) == 1:
        return [calls[0].apply(database)]
    return [_answer(database, call) for call in calls]


def _answer(database: sqlite3.Connection, call: Call) -> Any:
    """An error that is not SQLite's undoes this verb alone."""
    database.execute("SAVEPOINT verb")
    try:
        answer = call.apply(database)
    except sqlite3.Error:
        raise
    except Exception as error:
        database.execute("ROLLBACK TO verb")
        answer = Failed(error)
    database.execute("RELEASE verb")
    return answer


@dataclass(frozen=True, slots=True)
class Failed:
    """What a verb raised."""

    error: BaseException
