"""Whoever waits is told for what: for a turn that runs, that pauses, or that nobody has begun."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.integration.background_lab import echo, output, state, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import BusyTimeout
from turnwise.background import Policy

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def test_a_message_that_nobody_has_begun(sessions: Sessions) -> None:
    session = sessions.worker()
    receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
    status = await receipt.status()
    assert status.queued_for is not None
    with pytest.raises(BusyTimeout, match=r"'t' is queued for \d+ s, .* no worker is known"):
        await receipt.result(0)
    with pytest.raises(BusyTimeout, match=r"'t' is queued for \d+ s, .* no worker is known"):
        async with session.turn("s", timeout=0.01):
            pass
    async with working(sessions.worker(), echo(name="other"), policy=Policy(backoff=0.01)):
        await state(receipt, "running")  # it was begun, and given back
    assert receipt.turn_id == "t"


async def test_a_turn_that_runs(sessions: Sessions) -> None:
    session, gate, begun = sessions.worker(), asyncio.Event(), asyncio.Event()

    async def hold(message: str) -> None:
        begun.set()
        await gate.wait()

    receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(hold)):
        await begun.wait()
        with pytest.raises(BusyTimeout, match=r"'t' runs on worker '.*' \(attempt 1\)"):
            await receipt.result(0)
        gate.set()
        await output(receipt)


async def test_a_turn_that_pauses_before_its_next_attempt(sessions: Sessions) -> None:
    session = sessions.worker()

    async def fail(message: str) -> None:
        raise RuntimeError("the provider does not answer")

    receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(fail), policy=Policy(backoff=50)):
        await state(receipt, "retrying")
        status = await receipt.status()
        assert status.attempts == 1
        assert status.next_attempt_at is not None
        assert time.time() < status.next_attempt_at <= time.time() + 50
        with pytest.raises(BusyTimeout, match="attempt 1 of turn 't' failed; the next one begins"):
            await receipt.result(0)
        with pytest.raises(BusyTimeout, match="attempt 1 of turn 't' failed; the next one begins"):
            async with session.turn("s", timeout=0.01):
                pass
