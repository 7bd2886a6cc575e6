"""Where a worker executes requests besides its event loop: in a thread, or in a forked child."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from chaos.protocol import FromWorker, from_worker
from turnwise.errors import TurnwiseError
from turnwise.runner.sync import run_until_complete
from turnwise.testing.servers.guard import die_with

T = TypeVar("T")


class LoopThread:
    """A thread with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    async def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine returns. If the caller is cancelled, it is cancelled as well.

        Returns or raises when the coroutine has ended; what it returns all the same then, too.
        """
        ended, returned = asyncio.Event(), list[T]()
        here = asyncio.get_running_loop()

        async def work() -> T:
            try:
                returned.append(await coroutine)
                return returned[0]
            finally:
                here.call_soon_threadsafe(ended.set)

        future = asyncio.run_coroutine_threadsafe(work(), self._loop)
        try:
            await ended.wait()
        except asyncio.CancelledError:
            future.cancel()
            await ended.wait()
            if returned:
                return returned[0]
            raise
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Cancel what is left, as `asyncio.run` does, and end the thread."""
        asyncio.run_coroutine_threadsafe(_cancel_all(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


async def _cancel_all() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Work = Callable[[Callable[[bytes], object]], Coroutine[Any, Any, None]]
"""Gets a function that writes a message to the parent process."""
Use = Callable[[], Coroutine[Any, Any, object]]


async def in_forked_child(work: Work, use: Use, received: Callable[[FromWorker], None]) -> None:
    """Fork a process in the middle of whatever this one does; its child runs `work`, and exits.

    So does a server that loads its application before it forks: the process first runs `use`, as
    by `run_sync`; then it forks the child, and another one that runs `use` again and again. They
    inherit what the first `use` connected.

    `received` is called with each message. If the caller is cancelled, all are killed.
    """
    readable, writable = os.pipe()
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        _be_child(parent, partial(_preload, work, use, writable))
    os.close(writable)
    reader = asyncio.StreamReader()
    try:
        protocol = asyncio.StreamReaderProtocol(reader)
        await asyncio.get_running_loop().connect_read_pipe(
            lambda: protocol, os.fdopen(readable, "rb")
        )
        while data := await reader.readline():
            received(from_worker(data))
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)  # at the end of its messages there is nothing left to do
        os.waitpid(pid, 0)


def _preload(work: Work, use: Use, writable: int) -> None:
    run_until_complete(_suppressed(use))
    parent = os.getpid()
    if (other := os.fork()) == 0:
        os.close(writable)
        _be_child(parent, lambda: run_until_complete(_repeat(use)))
    if (pid := os.fork()) == 0:
        _be_child(parent, lambda: run_until_complete(work(lambda data: os.write(writable, data))))
    os.close(writable)
    os.waitpid(pid, 0)
    os.kill(other, signal.SIGKILL)
    os.waitpid(other, 0)


async def _suppressed(use: Use) -> None:
    with suppress(TurnwiseError):  # the store is in trouble
        await use()


async def _repeat(use: Use) -> None:
    while True:
        await _suppressed(use)


def _be_child(parent: int, run: Callable[[], None]) -> None:
    """Run it, and exit; at the parent's death at the latest."""
    try:
        if die_with(parent):
            run()
    except BaseException as error:
        print(f"a forked child failed: {error!r}", file=sys.stderr, flush=True)
    finally:
        os._exit(0)
