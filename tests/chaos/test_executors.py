"""Requests that another thread or a forked child executes."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from chaos.executors import LoopThread, in_forked_child
from chaos.protocol import FromWorker, Response, line


def response(error: str) -> Response:
    return Response(1, "ok", error, {}, None, None, os.getpid())


def _runs(process: int) -> bool:
    """Whether it runs: the system may keep the pid of a dead one."""
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


async def _nothing() -> None:
    await asyncio.sleep(0.01)


async def test_a_thread_returns_what_the_coroutine_returns() -> None:
    thread = LoopThread()

    async def where() -> int:
        return threading.get_ident()

    assert await thread.run(where()) != threading.get_ident()
    thread.stop()


async def test_a_cancelled_caller_waits_for_the_end_in_the_thread() -> None:
    thread, begun, ended = LoopThread(), threading.Event(), threading.Event()

    async def work() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(thread.run(work()))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()
    thread.stop()


async def test_a_cancelled_caller_gets_what_is_returned_all_the_same() -> None:
    thread, begun = LoopThread(), threading.Event()

    async def work() -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return "cancelled"
        raise AssertionError

    task = asyncio.create_task(thread.run(work()))
    await asyncio.to_thread(begun.wait)
    task.cancel()
    assert await task == "cancelled"
    thread.stop()


async def test_a_forked_child_sends_its_messages() -> None:
    received: list[FromWorker] = []

    async def work(write: Callable[[bytes], object]) -> None:
        write(line(response("one")))
        await asyncio.sleep(0)
        write(line(response("two")))

    await in_forked_child(work, _nothing, received.append)
    assert [one.error for one in received if isinstance(one, Response)] == ["one", "two"]
    assert {one.attempt for one in received if isinstance(one, Response)}.isdisjoint({os.getpid()})


async def test_a_cancelled_caller_kills_the_child() -> None:
    received: list[FromWorker] = []
    begun = asyncio.Event()

    async def work(write: Callable[[bytes], object]) -> None:
        write(line(response("begun")))
        await asyncio.Event().wait()

    def note(message: FromWorker) -> None:
        received.append(message)
        begun.set()

    task = asyncio.create_task(in_forked_child(work, _nothing, note))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (child,) = received
    assert isinstance(child, Response)
    while _runs(child.attempt):
        await asyncio.sleep(0.01)


async def test_a_child_and_another_one_inherit_what_their_parent_used(tmp_path: Path) -> None:
    received: list[FromWorker] = []
    used: list[int] = []
    log = tmp_path / "log"

    async def use() -> None:
        used.append(os.getpid())
        with log.open("a") as file:
            file.write(f"{used[0]} {os.getpid()}\n")
        await asyncio.sleep(0.01)

    def users() -> set[tuple[str, ...]]:
        return {tuple(line.split()) for line in log.read_text().splitlines()}

    async def work(write: Callable[[bytes], object]) -> None:
        while len(users()) < 2:  # the parent, and the other child
            await asyncio.sleep(0.01)
        write(line(response(str(used[0]))))

    await in_forked_child(work, use, received.append)
    (one,) = received
    assert isinstance(one, Response)
    assert {first for first, _ in users()} == {one.error}  # all had the parent's list
    assert (one.error, str(one.attempt)) not in users()
    assert used == []
