"""The whole fleet waits for the backoff after a failed attempt."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from contextlib import AsyncExitStack

from tests.integration.background_lab import echo, state, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.background import Policy
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
COARSE = 0.005
"""Seconds between the tick of the test's clock and the store's."""


async def test_no_worker_of_a_fleet_tries_again_before_the_pause_is_over(
    sessions: Sessions,
) -> None:
    """Also where the wake-ups of further messages bring other workers to the session."""
    attempts = defaultdict[str, list[float]](list)
    policy = Policy(max_attempts=3, backoff=0.5)

    all_sent = asyncio.Event()

    async def fail(message: str) -> None:
        attempts[message].append(time.monotonic())
        await all_sent.wait()
        raise RuntimeError("the provider does not answer")

    sender, busy_with_one = sessions.worker(), {"policy": policy, "concurrency": 1}
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await stack.enter_async_context(working(sessions.worker(), echo(fail), **busy_with_one))
        sending = [sender.submit("s", f"m{number}", agent="echo") for number in range(4)]
        receipts = await asyncio.gather(*sending)
        all_sent.set()
        for receipt in receipts:
            await state(receipt, "dead")
    assert sorted(attempts) == ["m0", "m1", "m2", "m3"]
    for first, second, third in attempts.values():
        assert second - first >= policy.backoff_after(1) - COARSE
        assert third - second >= policy.backoff_after(2) - COARSE


async def test_a_message_that_pauses_is_cancelled_at_once(sessions: Sessions) -> None:
    """Nobody is at work on it, who would have to be asked and waited for."""
    session, failed = sessions.worker(), asyncio.Event()

    async def fail(message: str) -> None:
        failed.set()
        raise RuntimeError("no")

    async with working(session, echo(fail), policy=Policy(backoff=60)):
        receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
        await failed.wait()

        async def given_back() -> bool:
            return not (await receipt.status()).alive

        await until(given_back, 30, "the attempt has ended")
        assert (await session.cancel("s", "t")).outcome == "dropped"
        await state(receipt, "cancelled")
