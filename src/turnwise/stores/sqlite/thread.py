"""The thread that owns a connection, and runs everything on it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

from turnwise.errors import StoreError
from turnwise.process import FORK_BARRIER, ProcessBound, keep_forever
from turnwise.stores.sqlite.batch import BATCH_LIMIT, Batches, Call, Failed
from turnwise.stores.sqlite.database import open_database
from turnwise.stores.sqlite.errors import is_lock, needs_new_connection, refusal

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class ConnectionThread(ProcessBound):
    """Opens the connection for a job, in its own thread, and closes it in the end, or at a fork.

    A job that has started runs to its end, also if its caller was cancelled.
    """

    def __init__(self, path: str, patience: float) -> None:
        super().__init__()
        self._path = path
        self._patience = patience
        self._database: sqlite3.Connection | None = None
        self._batches = Batches(patience)
        self._calls: deque[Call] = deque()
        name = f"turnwise-sqlite-{os.path.basename(path)}"
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def start(self, job: Job[T]) -> Future[T]:
        """Run `job`, outside any transaction."""
        return self._submit(partial(self._do, job))

    def call(self, call: Call) -> None:
        """Run `call` in a transaction, together with others that wait."""
        self._calls.append(call)
        self._submit(self._drain)

    def close(self) -> Future[None]:
        """Close the connection after all earlier jobs; then the thread ends."""
        closing = self._submit(self._close)
        self._executor.shutdown(wait=False)
        return closing

    def join(self) -> None:
        self._executor.shutdown(wait=True)

    def _submit(self, work: Callable[[], T]) -> Future[T]:
        return self._executor.submit(_outside_forks, work)

    def _do(self, job: Job[T]) -> T:
        try:
            database = self._open()
            return self._batches.retry_locked(lambda: job(database))
        except sqlite3.Error as error:
            raise self._refused(error, None) from error

    def _drain(self) -> None:
        pending = [self._calls.popleft() for _ in range(min(BATCH_LIMIT, len(self._calls)))]
        calls = [call for call in pending if call.future.set_running_or_notify_cancel()]
        if len(calls) > 1 and self._run_together(calls):
            return
        for call in calls:
            self._run_alone(call)

    def _run_together(self, calls: Sequence[Call]) -> bool:
        """False if a fault of one of them may have stopped them all: then each is to run alone."""
        try:
            answers = self._batches.run(self._open(), calls)
        except Exception as error:
            if not isinstance(error, sqlite3.Error) or not is_lock(error):
                return False
            answers = [Failed(self._refused(error, call.session_id)) for call in calls]
        for call, answer in zip(calls, answers, strict=True):
            _resolve(call, answer)
        return True

    def _run_alone(self, call: Call) -> None:
        try:
            (answer,) = self._batches.run(self._open(), [call])
        except sqlite3.Error as error:
            answer = Failed(self._refused(error, call.session_id))
            answer.error.__cause__ = error
        except BaseException as error:
            answer = Failed(error)
        _resolve(call, answer)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._batches.retry_locked(lambda: open_database(self._path))
        return self._database

    def before_fork(self) -> None:
        """SQLite notes in the process which locks its connections hold: a child would believe it.

        The next job opens the connection again.
        """
        self._close()

    def reset_in_child(self) -> None:
        """The thread does not exist there."""
        keep_forever(self)

    def _refused(self, error: sqlite3.Error, session_id: str | None) -> StoreError:
        if needs_new_connection(error):
            self._close()
        return refusal(error, self._path, session_id, self._patience)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _outside_forks(work: Callable[[], T]) -> T:
    """SQLite has locks that all connections of a process share: a fork waits until none is held."""
    with FORK_BARRIER:
        return work()


def _resolve(call: Call, answer: Any) -> None:
    if isinstance(answer, Failed):
        call.future.set_exception(answer.error)
        return
    call.future.set_result(call.then(answer))


class Connections(ProcessBound):
    """The thread in use: started when needed, and again after `aclose` or a fork."""

    def __init__(self, path: str, patience: float) -> None:
        super().__init__()
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._thread: ConnectionThread | None = None

    async def run(self, job: Job[T]) -> T:
        """The result of `job` on the connection, awaited from any event loop."""
        loop = asyncio.get_running_loop()  # none: a child does not run the job of a parent's task
        with self._lock:
            future = self._current().start(job)
        return await asyncio.wrap_future(future, loop=loop)

    def start(self, job: Job[T]) -> Future[T]:
        """Run `job` on the connection; nobody awaits it."""
        with self._lock:
            return self._current().start(job)

    async def call(self, call: Call) -> Any:
        """The answer of a verb, awaited from any event loop."""
        loop = asyncio.get_running_loop()
        with self._lock:
            self._current().call(call)
        return await asyncio.wrap_future(call.future, loop=loop)

    async def aclose(self) -> None:
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            closing = thread.close()
        await asyncio.shield(asyncio.wrap_future(closing))
        thread.join()

    def _current(self) -> ConnectionThread:
        if self._thread is None:
            self._thread = ConnectionThread(self._path, self._patience)
        return self._thread

    def reset_in_child(self) -> None:
        self._lock, self._thread = threading.Lock(), None
