"""Waiting for a wake-up."""

from __future__ import annotations

import asyncio

import pytest

from turnwise.stores.listeners import EventWaiter


@pytest.mark.parametrize("ticks", range(6))
async def test_a_cancellation_that_meets_a_wake_up_is_not_swallowed(ticks: int) -> None:
    wake = EventWaiter(max_wait=60.0)

    async def wait_for_ever() -> None:
        while True:
            await wake.wait(60.0)

    waiting = asyncio.create_task(wait_for_ever())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    wake.event.set()
    for _ in range(ticks):
        await asyncio.sleep(0)
    waiting.cancel()
    done, _ = await asyncio.wait({waiting}, timeout=5.0)
    waiting.cancel()
    assert done
