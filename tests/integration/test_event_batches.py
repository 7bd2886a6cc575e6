"""How a turn's events reach the store: the first at once, those that follow it together."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.fault_lab import other_tasks
from turnwise import MemorySession
from turnwise.background import event_publisher
from turnwise.background.event_publisher import EventPublisher
from turnwise.errors import StoreUnavailable
from turnwise.testing.servers.waiting import until


class Log:
    """A publisher, and the numbers of the events in each append that it makes."""

    def __init__(self, session: MemorySession) -> None:
        self.appends: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.cancelled = 0
        self.failures = 0
        self._log = session.runtime.store.events
        self._append = self._log.append
        self._log.append = self._gated  # type: ignore[method-assign]  # a spy
        self.publisher = EventPublisher(session.runtime, "s", "t", 1)

    async def _gated(
        self, session_id: str, turn_id: str, attempt: int, index: int, events: Any, **named: Any
    ) -> bool:
        self.appends.append(list(range(index, index + len(events))))
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("no answer", session_id=session_id)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return await self._append(session_id, turn_id, attempt, index, events, **named)

    def say(self, *kinds: str) -> None:
        for kind in kinds:
            self.publisher.publish_nowait({"type": "raw_response_event", "data": {"type": kind}})

    async def has(self, *appends: list[int]) -> None:
        async def reached() -> bool:
            return self.appends == list(appends)

        await until(reached, 30, f"{appends} are appended, not {self.appends}")

    async def stored(self) -> list[str]:
        found: list[str] = []
        after: str | None = None
        while events := (await self._log.read("s", "t", after)).events:
            found += [event.id for event in events]
            after = found[-1]
        return found


DELTA, CREATED = "response.output_text.delta", "response.created"


@pytest.fixture
async def log() -> AsyncIterator[Log]:
    async with MemorySession() as session:
        yield Log(session)
    assert not other_tasks()


@pytest.fixture
def for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits for the next append waits until something else sends it."""
    monkeypatch.setattr(event_publisher, "_BATCH_PAUSE", 3600)


@pytest.mark.usefixtures("for_ever")
async def test_the_first_token_is_sent_at_once_and_the_next_ones_together(log: Log) -> None:
    log.say(DELTA)
    await log.has([0])
    log.say(DELTA, DELTA)
    for _ in range(20):
        await asyncio.sleep(0)
    await log.publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
    assert log.appends == [[0], [1, 2, 3]]
    assert await log.stored() == ["1-0", "1-1", "1-2", "1-3"]


@pytest.mark.usefixtures("for_ever")
async def test_what_is_no_token_waits_for_the_first_one(log: Log) -> None:
    log.publisher.publish_nowait({"type": "turn.begun", "attempt": 1})
    log.say(CREATED)
    for _ in range(20):
        await asyncio.sleep(0)
    assert log.appends == []
    log.say(DELTA)
    await log.has([0, 1, 2])
    await log.publisher.stop()


async def test_what_waits_is_sent_in_time(log: Log) -> None:
    log.publisher.publish_nowait({"type": "turn.begun", "attempt": 1})
    await log.has([0])
    log.say(DELTA)
    await log.has([0], [1])
    log.say(DELTA, CREATED)
    await log.has([0], [1], [2, 3])


async def test_what_comes_during_an_append_follows_it_in_one(log: Log) -> None:
    log.gate.clear()
    log.say(DELTA)
    await log.has([0])
    log.say(DELTA, DELTA)
    log.gate.set()
    await log.has([0], [1, 2])


@pytest.mark.usefixtures("for_ever")
async def test_very_many_events_do_not_wait(log: Log) -> None:
    log.say(DELTA)
    await log.has([0])
    log.say(*[DELTA] * 3)
    count = event_publisher._MAX_UNSENT
    for _ in range(count):
        await log.publisher.publish({"type": "raw_response_event", "data": {"type": DELTA}})
        await asyncio.sleep(0)
    await log.publisher.close()
    assert len(await log.stored()) == count + 4


async def test_the_end_does_not_cancel_an_append_that_is_on_its_way(log: Log) -> None:
    log.gate.clear()
    log.say(DELTA)
    await log.has([0])
    log.say(DELTA)
    closing = asyncio.create_task(
        log.publisher.close({"type": "turn.finished", "state": "committed"}, last=True)
    )
    await asyncio.sleep(0)
    log.gate.set()
    await closing
    assert (log.appends, log.cancelled) == ([[0], [1, 2]], 0)


async def test_the_end_does_not_wait_for_a_store_that_hangs(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_publisher, "_CLOSING", 0.01)
    log.gate.clear()
    log.say(DELTA)
    await log.has([0])
    closing = asyncio.create_task(log.publisher.close({"type": "turn.retry"}))
    await log.has([0], [0, 1])
    log.gate.set()
    await closing
    assert log.cancelled == 1
    assert await log.stored() == ["1-0", "1-1"]


END = {"type": "turn.finished", "state": "committed"}


async def test_what_the_store_did_not_take_is_sent_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_publisher, "_RESEND_PAUSE", 0)
    log.failures = 2
    log.say(DELTA, DELTA)
    await log.has([0, 1], [0, 1], [0, 1])
    await log.publisher.close(END, last=True)
    assert await log.stored() == ["1-0", "1-1", "1-2"]


@pytest.mark.parametrize("failures", [1, 1000])
async def test_a_turn_does_not_wait_for_a_store_that_does_not_answer(
    log: Log, monkeypatch: pytest.MonkeyPatch, failures: int
) -> None:
    monkeypatch.setattr(event_publisher, "_RESEND_PAUSE", 3600)
    log.failures = failures
    log.say(DELTA)
    await log.has([0])
    for _ in range(600):
        await log.publisher.publish({"type": "raw_response_event", "data": {"type": DELTA}})
    assert len(log.appends) == 1
    await log.publisher.close(END, last=True)
    kept = [f"1-{number}" for number in range(602)] if failures == 1 else []
    assert await log.stored() == kept


def test_no_token_is_held_back_for_longer_than_promised() -> None:
    assert 0 < event_publisher._BATCH_PAUSE <= 0.02  # seconds; docs/background.md says so
