"""Whoever waits is told for what: for a turn that runs, that pauses, or that nobody has begun."""

from __future__ import annotations

import asyncio
import re
import time
from datetime import UTC, datetime, timedelta
from importlib import import_module

import pytest

from tests.integration.background_lab import echo, output, state, working
from tests.integration.fault_lab import LONG
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import BusyTimeout
from turnwise.background import Policy
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.testing.servers.waiting import until
from turnwise.turns import Runtime, Settings, standing

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
standing_module = import_module("turnwise.turns.standing")  # the package has its function


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


LOOKING = "workers look for messages: they are busy, or none of them knows its agent"
LEFT = rf"'t' is queued for \d+ s, behind 0 others; {LOOKING}"


async def test_workers_that_are_busy(sessions: Sessions, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing_module, "_ATTENTIVE_MS", 1000 * LONG)
    session, gate, begun = sessions.worker(), asyncio.Event(), asyncio.Event()

    async def hold(message: str) -> None:
        begun.set()
        await gate.wait()

    async with working(sessions.worker(), echo(hold), concurrency=1):
        first = await session.submit("another", "hello", agent="echo")
        await begun.wait()
        receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
        with pytest.raises(BusyTimeout, match=LEFT):
            await receipt.result(0)
        with pytest.raises(BusyTimeout, match=LEFT):
            async with session.turn("s", timeout=0.01):
                pass
        gate.set()
        await output(first)
        await output(receipt)


async def test_workers_that_do_not_know_its_agent(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_module, "_ATTENTIVE_MS", 1000 * LONG)
    session = sessions.worker()
    receipt = await session.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(name="other")):
        await state(receipt, "running")

        async def is_left() -> bool:
            return not (await receipt.status()).alive

        await until(is_left, LONG, "it was given back")
        left = f"worker '.*' died or gave turn 't' back, and nobody has continued it; {LOOKING}"
        with pytest.raises(BusyTimeout, match=left):
            await receipt.result(0)


async def test_workers_that_do_not_look_any_more(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing_module, "_ATTENTIVE_MS", -1)
    session, begun = sessions.worker(), datetime.now(UTC)
    async with working(sessions.worker(), echo()):
        await output(await session.submit("s", "hello", agent="echo"))
    receipt = await session.submit("s", "again", agent="echo", turn_id="t")
    with pytest.raises(BusyTimeout) as raised:
        await receipt.result(0)
    assert "'t' is queued for" in str(raised.value)
    second = timedelta(seconds=1)  # what is told has no fractions
    assert begun - second <= _last_look(str(raised.value)) <= datetime.now(UTC)


async def test_since_when_workers_count_as_gone() -> None:
    now = 1_800_000_000_000
    store = MemoryStore(clock=lambda: now)
    runtime = Runtime(store, Settings(), "one")
    await store.submit("s", "t", b"hello")
    await store.ready.claim("worker", 1, 0)
    now += 10_000
    assert LOOKING in await standing(runtime, "s", "t")
    now += 1
    begun = datetime.now(UTC)
    told = _last_look(await standing(runtime, "s", "t"))
    ago = timedelta(seconds=10.001)
    assert begun - ago - timedelta(seconds=1) <= told <= datetime.now(UTC) - ago


def _last_look(text: str) -> datetime:
    pattern = r"no worker has looked for messages since (.*) UTC: none runs, or all are busy"
    found = re.search(pattern, text)
    assert found, text
    return datetime.strptime(found[1], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


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
