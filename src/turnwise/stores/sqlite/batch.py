"""Verbs that wait for the file at the same time share one transaction, and so one sync to disk.

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

BATCH_LIMIT = 32
"""The most verbs in one transaction."""
# SQLite's own busy handler sleeps longer and longer, so a process that writes all the time keeps
# the others out for seconds. Here the pauses stay short, and a writer lets the others go first.
_RETRY_PAUSE = 0.001
_REST = 0.002


@dataclass(slots=True)
class Call:
    """A verb that waits for its transaction, on `session_id` or on none.

    `then` makes the answer from what `apply` returned, after the commit.
    """

    apply: Apply
    writes: bool
    session_id: str | None = None
    then: Callable[[Any], Any] = lambda applied: applied
    future: Future[Any] = field(default_factory=Future)


class Batches:
    """Runs the transactions of one process. `patience` is how many seconds it waits for a lock."""

    def __init__(self, patience: float) -> None:
        self._patience = patience
        self._data_version: int | None = None
        self._others_write = False
        self._rest_until = 0.0

    def retry_locked(self, attempt: Callable[[], T]) -> T:
        """What `attempt` returns, as soon as no other process has the file locked."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                return attempt()
            except sqlite3.OperationalError as error:
                if not is_lock(error) or time.monotonic() >= deadline:
                    raise
            time.sleep(random.uniform(_RETRY_PAUSE / 2, _RETRY_PAUSE * 2))

    def run(self, database: sqlite3.Connection, calls: Sequence[Call]) -> list[Any]:
        """Commit the calls together; their answers, or Failed for one that raised."""
        if not any(call.writes for call in calls):
            return self.retry_locked(lambda: self._attempt(database, calls, "BEGIN"))
        if self._others_write:
            time.sleep(max(0.0, self._rest_until - time.monotonic()))
        try:
            return self._attempt(database, calls, "BEGIN IMMEDIATE")
        finally:
            self._rest_until = time.monotonic() + _REST

    def _attempt(
        self, database: sqlite3.Connection, calls: Sequence[Call], begin: str
    ) -> list[Any]:
        if begin == "BEGIN":
            database.execute(begin)
        else:
            self.retry_locked(lambda: database.execute(begin))
        try:
            answers = _answers(database, calls)
            if begin != "BEGIN":
                self._detect_other_writers(database)
            self.retry_locked(lambda: database.execute("COMMIT"))
        except BaseException:
            if database.in_transaction:
                database.execute("ROLLBACK")
            raise
        return answers

    def _detect_other_writers(self, database: sqlite3.Connection) -> None:
        (version,) = database.execute("PRAGMA data_version").fetchone()
        self._others_write = version != self._data_version
        self._data_version = version


def _answers(database: sqlite3.Connection, calls: Sequence[Call]) -> list[Any]:
    if len(calls) == 1:
        return [calls[0].apply(database)]
    return [_answer(database, call) for call in calls]


def _answer(database: sqlite3.Connection, call: Call) -> Any:
    """An error that is not SQLite's rolls back this verb alone."""
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
