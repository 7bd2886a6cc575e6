"""The one thread that a connection lives in, and everything that is done on it."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from turnwise.errors import StoreError
from turnwise.process import ProcessBound, put_aside
from turnwise.stores.sqlite.batch import MOST, Call, Failed, Turnstile
from turnwise.stores.sqlite.database import open_database
from turnwise.stores.sqlite.errors import is_lasting, is_lock, refusal

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]


class ConnectionThread:
    """Opens the connection with its first job, in its own thread; closes it there too.

    What has started runs to its end, whether or not its caller was cancelled.
    """

    def __init__(self, path: str, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._database: sqlite3.Connection | None = None
        self._turnstile = Turnstile(patience)
        self._calls: deque[Call] = deque()
        name = f"turnwise-sqlite-{os.path.basename(path)}"
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def start(self, job: Job[T]) -> Future[T]:
        """Do `job`, outside of any transaction."""
        return self._executor.submit(self._do, job)

    def call(self, call: Call) -> None:
        """Do `call` in a transaction, together with others that wait."""
        self._calls.append(call)
        self._executor.submit(self._drain)

    def close(self) -> Future[None]:
        """Close the connection after the jobs before; the thread ends with it."""
        closing = self._executor.submit(self._close)
        self._executor.shutdown(wait=False)
        return closing

    def join(self) -> None:
        self._executor.shutdown(wait=True)

    def _do(self, job: Job[T]) -> T:
        try:
            database = self._open()
            return self._turnstile.patiently(lambda: job(database))
        except sqlite3.Error as error:
            raise self._refused(error, None) from error

    def _drain(self) -> None:
        waiting = [self._calls.popleft() for _ in range(min(MOST, len(self._calls)))]
        calls = [call for call in waiting if call.future.set_running_or_notify_cancel()]
        if len(calls) > 1 and self._done_together(calls):
            return
        for call in calls:
            self._done_alone(call)

    def _done_together(self, calls: Sequence[Call]) -> bool:
        """False if something that concerns one of them may have stopped them all."""
        try:
            answers = self._turnstile.run(self._open(), calls)
        except Exception as error:
            if not isinstance(error, sqlite3.Error) or not is_lock(error):
                return False
            answers = [Failed(self._refused(error, call.session_id)) for call in calls]
        for call, answer in zip(calls, answers, strict=True):
            _settle(call, answer)
        return True

    def _done_alone(self, call: Call) -> None:
        try:
            (answer,) = self._turnstile.run(self._open(), [call])
        except sqlite3.Error as error:
            answer = Failed(self._refused(error, call.session_id))
            answer.error.__cause__ = error
        except BaseException as error:
            answer = Failed(error)
        _settle(call, answer)

    def _open(self) -> sqlite3.Connection:
        if self._database is None:
            self._database = self._turnstile.patiently(lambda: open_database(self._path))
        return self._database

    def _refused(self, error: sqlite3.Error, session_id: str | None) -> StoreError:
        if is_lasting(error):
            self._close()
        return refusal(error, self._path, session_id, self._patience)

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


def _settle(call: Call, answer: Any) -> None:
    if isinstance(answer, Failed):
        call.future.set_exception(answer.error)
        return
    call.future.set_result(call.then(answer))


class Connections(ProcessBound):
    """The thread in use: made when needed, and made anew after `aclose` or a fork."""

    def __init__(self, path: str, patience: float) -> None:
        super().__init__()
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._thread: ConnectionThread | None = None

    async def run(self, job: Job[T]) -> T:
        """The result of `job` on the connection, awaited from any event loop."""
        loop = asyncio.get_running_loop()  # none: the job of a parent's task is not done in a child
        with self._lock:
            future = self._current().start(job)
        return await asyncio.wrap_future(future, loop=loop)

    def tell(self, job: Job[T]) -> Future[T]:
        """Have `job` done on the connection; nobody waits for it."""
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

    def forked(self) -> None:
        """A child touches no connection of its parent, not even to close it."""
        put_aside(self._thread)
        self._lock, self._thread = threading.Lock(), None
