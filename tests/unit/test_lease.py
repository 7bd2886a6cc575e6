"""The lease as its worker knows it, when the event loop stalls."""

from __future__ import annotations

import asyncio
import threading

import pytest

from turnwise.turns.lease import Lease

LENGTH = 1.5


@pytest.mark.parametrize("held", [True, False])
async def test_after_a_stall_the_store_has_a_whole_lease_to_answer(held: bool) -> None:
    loop, told = asyncio.get_running_loop(), asyncio.Event()
    ends: list[Exception | None] = []

    async def renew() -> bool:
        answered = loop.time() + LENGTH / 2  # longer than a heartbeat's pause
        while loop.time() < answered:
            await asyncio.sleep(0)
        told.set()
        return held

    lease = Lease(LENGTH, loop.time(), renew, ends.append)
    lease.keep()
    threading.Event().wait(1.1 * LENGTH)  # the event loop stands still
    assert lease.expired
    while not told.is_set() and not ends:
        await asyncio.sleep(0)
    while not ends and lease.expired:
        await asyncio.sleep(0)
    lease.stop()
    await lease.stopped()
    assert ends == ([] if held else [None])


@pytest.mark.parametrize("held", [True, False])
async def test_an_answer_that_comes_while_the_event_loop_stalls_is_read(held: bool) -> None:
    """Even if the lease has just run out when it goes on: only the store knows whose it is."""
    loop, asked, over = asyncio.get_running_loop(), asyncio.Event(), asyncio.Event()
    answer: asyncio.Future[bool] = loop.create_future()
    ends: list[Exception | None] = []

    async def renew() -> bool:
        asked.set()
        try:
            return await answer
        finally:
            over.set()

    start = loop.time()
    lease = Lease(LENGTH, start, renew, ends.append)
    lease.keep()
    await asked.wait()
    loop.call_soon(answer.set_result, held)  # it is in the socket
    threading.Event().wait(start + 1.01 * LENGTH - loop.time())
    await over.wait()
    lease.stop()
    await lease.stopped()
    assert ends == ([] if held else [None])
