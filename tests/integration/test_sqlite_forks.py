"""A process forks while its threads use SQLite, which has locks that all connections share."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread

import pytest
from agents import TResponseInputItem

from turnwise import SQLiteSession
from turnwise.process import FORK_BARRIER
from turnwise.runner.sync import run_until_complete
from turnwise.stores.sqlite.thread import Connections
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")

FORKS = 60
ITEM: TResponseInputItem = {"role": "user", "content": "x"}


def forked(work: Callable[[], object]) -> int:
    """The process id of a child that does `work`, and exits with 0 if it raised nothing."""
    if (pid := os.fork()) == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


async def ended(pid: int) -> int:
    """The child's exit status. One that hangs is killed."""
    status: list[int] = []

    async def is_gone() -> bool:
        done, code = os.waitpid(pid, os.WNOHANG)
        if done:
            status.append(code)
        return bool(done)

    try:
        await until(is_gone, 60, "a forked child ends")
    except BaseException:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        raise
    return status[0]


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_children_work_that_are_forked_while_connections_open_and_close(
    tmp_path: Path,
) -> None:
    """Without the barrier some hang for ever in `sqlite3.connect`."""
    path, is_over = tmp_path / "s.db", False

    async def open_and_close(number: int) -> None:
        while not is_over:
            async with SQLiteSession(path) as other:
                await other.bind(f"s{number}").add_items([ITEM])

    async with SQLiteSession(path) as session:
        await session.bind("s").add_items([ITEM])
        busy = [asyncio.create_task(open_and_close(number)) for number in range(4)]
        try:
            for number in range(FORKS):
                await asyncio.sleep(0.0005 * (number % 7))  # at another moment each time
                pid = forked(lambda: run_until_complete(session.info("s")))
                assert await ended(pid) == 0
        finally:
            is_over = True
            await asyncio.gather(*busy)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="there is no /proc")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_child_inherits_no_connection(tmp_path: Path) -> None:
    """SQLite would take the parent's locks for its own, and drop its own with the first file."""
    path = tmp_path / "s.db"

    def opened() -> list[str]:
        return [os.readlink(file) for file in Path("/proc/self/fd").iterdir() if file.is_symlink()]

    def child() -> None:
        assert str(path) not in opened()

    async with SQLiteSession(path) as session:
        await session.bind("s").add_items([ITEM])
        assert str(path) in opened()
        assert await ended(forked(child)) == 0
        assert len(await session.bind("s").get_items()) == 1


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
async def test_a_fork_waits_for_what_uses_a_connection(tmp_path: Path) -> None:
    connections = Connections(str(tmp_path / "s.db"), 1.0)
    started, go_on, order = Event(), Event(), list[str]()

    def job(_: sqlite3.Connection) -> None:
        started.set()
        assert go_on.wait(60)
        order.append("job")

    def fork() -> None:
        pid = forked(lambda: None)
        order.append("fork")
        os.waitpid(pid, 0)

    job_done = connections.start(job)
    await asyncio.to_thread(started.wait, 60)
    thread = Thread(target=fork)
    thread.start()

    async def is_waiting() -> bool:
        return FORK_BARRIER.forks > 0

    await until(is_waiting, 60, "the fork waits")
    second = connections.start(lambda _: order.append("second job"))
    go_on.set()
    await asyncio.to_thread(thread.join, 60)
    await asyncio.wrap_future(job_done)
    await asyncio.wrap_future(second)
    await connections.aclose()
    assert order == ["job", "fork", "second job"]
