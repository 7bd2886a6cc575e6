"""A time limit that counts what a server takes, and not what this process takes."""

from __future__ import annotations

import asyncio
import time

import pytest

from turnwise.server_timeout import ServerTimeout

LIMIT = 0.1
STALL = 3 * LIMIT


async def test_a_server_that_says_nothing() -> None:
    with pytest.raises(TimeoutError):
        async with ServerTimeout(LIMIT):
            await asyncio.Event().wait()


async def test_no_limit() -> None:
    async with ServerTimeout(None):
        await asyncio.sleep(LIMIT)


async def test_what_ends_in_time_stops_the_clock() -> None:
    async with ServerTimeout(LIMIT):
        pass
    await asyncio.sleep(2 * LIMIT)


async def test_a_cancellation_stays_one() -> None:
    async def waits() -> None:
        async with ServerTimeout(LIMIT):
            await asyncio.Event().wait()

    task = asyncio.create_task(waits())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_stalled_event_loop_does_not_count() -> None:
    """The answer came while it stalled."""
    answered = asyncio.Event()
    async with ServerTimeout(LIMIT):
        asyncio.get_running_loop().call_later(LIMIT / 2, answered.set)
        time.sleep(STALL)
        for _ in range(5):  # as many iterations as it takes to read it
            await asyncio.sleep(0)
        await answered.wait()
