"""The one thread that a connection lives in, and everything that is done on it, one at a time."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from turnwise.stores.sqlite.database import open_database
from turnwise.stores.sqlite.refusals import is_lasting, refusal

T = TypeVar("T")
Job = Callable[[sqlite3.Connection], T]

# A forked child must not touch the connections of its parent, not even to close them.
_INHERITED: list[ConnectionThread] = []


class ConnectionThread:
    """Opens the connection with its first job, in its own thread; closes it there too."""

    def __init__(self, path: str, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._process = os.getpid()
        self._database: sqlite3.Connection | None = None
        name = f"turnwise-sqlite-{os.path.basename(path)}"
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    def is_inherited(self) -> bool:
        """Whether this was made by the process that this one was forked from."""
        if self._process == os.getpid():
            return False
        _INHERITED.append(self)
        return True

    def start(self, job: Job[T], session_id: str | None) -> Future[T]:
        """Do `job` after those before it; once started it runs to its end, cancelled or not."""
        return self._executor.submit(self._do, job, session_id)

    def close(self) -> Future[None]:
        """Close the connection after the jobs before; the thread ends with it."""
        closing = self._executor.submit(self._close)
        self._executor.shutdown(wait=False)
        return closing

    def join(self) -> None:
        self._executor.shutdown(wait=True)

    def _do(self, job: Job[T], session_id: str | None) -> T:
        try:
            if self._database is None:
                self._database = open_database(self._path, self._patience)
            return job(self._database)
        except sqlite3.Error as error:
            if is_lasting(error):
                self._close()
            raise refusal(error, self._path, session_id, self._patience) from error

    def _close(self) -> None:
        database, self._database = self._database, None
        if database is not None:
            database.close()


class Connections:
    """The thread in use: made when needed, and made anew after `aclose` or a fork."""

    def __init__(self, path: str, patience: float) -> None:
        self._path = path
        self._patience = patience
        self._lock = threading.Lock()
        self._thread: ConnectionThread | None = None

    async def run(self, job: Job[T], session_id: str | None = None) -> T:
        """The result of `job` on the connection, awaited from any event loop."""
        self._forget_inherited()
        with self._lock:
            if self._thread is None:
                self._thread = ConnectionThread(self._path, self._patience)
            future = self._thread.start(job, session_id)
        return await asyncio.wrap_future(future)

    async def aclose(self) -> None:
        self._forget_inherited()
        with self._lock:
            thread, self._thread = self._thread, None
            if thread is None:
                return
            closing = thread.close()
        await asyncio.shield(asyncio.wrap_future(closing))
        thread.join()

    def _forget_inherited(self) -> None:
        if self._thread is not None and self._thread.is_inherited():
            self._lock, self._thread = threading.Lock(), None
