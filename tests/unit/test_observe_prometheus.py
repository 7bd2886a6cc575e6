"""What a Prometheus registry says after turns."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from tests.items import user
from turnwise import MemorySession
from turnwise.errors import AlreadyCommitted, BusyTimeout
from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnLostEvent,
    TurnParkedEvent,
    TurnSubmittedEvent,
    WebhookGivenUpEvent,
)
from turnwise.observe.prometheus import FleetFigures, FleetMetrics, TurnMetrics
from turnwise.types import SessionCounts, Unclaimed

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "observability.md"
ITEMS: list[Any] = [user("nobody's business"), user("nor this")]


class Registry(CollectorRegistry):
    def value(self, name: str, **labels: str) -> float | None:
        return self.get_sample_value(f"turnwise_{name}", labels)


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def metrics(registry: Registry) -> TurnMetrics:
    return TurnMetrics(registry)


@pytest.fixture
def session(metrics: TurnMetrics) -> MemorySession:
    return MemorySession(hooks=(metrics,))


class OfTheApplication(Exception):
    pass


async def test_turns_by_outcome(registry: Registry, session: MemorySession) -> None:
    async with session.turn("user-1", turn_id="turn") as turn:
        await turn.add_items(ITEMS)
        assert registry.value("turns_running") == 1
    for error in (OfTheApplication, asyncio.CancelledError):
        with pytest.raises(error):
            async with session.turn("user-1"):
                raise error
    with pytest.raises(AlreadyCommitted):
        await session.turn("user-1", turn_id="turn").__aenter__()
    assert registry.value("turns_running") == 0
    assert registry.value("turns_total", outcome="committed", reason="") == 1
    assert registry.value("turns_total", outcome="rolled_back", reason="other") == 1
    assert registry.value("turns_total", outcome="rolled_back", reason="CancelledError") == 1
    assert registry.value("refusals_total", reason="AlreadyCommitted") == 1
    assert registry.value("turn_items_sum") == 2
    assert registry.value("turn_bytes_sum")
    assert registry.value("turn_seconds_count", outcome="committed") == 1
    assert registry.value("history_items_sum") == 4  # 0, then 2 for two turns


async def test_waiting(registry: Registry, metrics: TurnMetrics, session: MemorySession) -> None:
    async def wait() -> None:
        async with session.turn("user-1"):
            assert registry.value("turns_waiting") == 0

    async with session.turn("user-1"):
        waiting = [asyncio.create_task(wait()) for _ in range(2)]
        while registry.value("turns_waiting") != 2:
            await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.wait(waiting[:1])
        assert registry.value("turns_waiting") == 1
        with pytest.raises(BusyTimeout):
            await asyncio.create_task(session.turn("user-1", timeout=0.01).__aenter__())
    await waiting[1]
    assert registry.value("turns_waiting") == 0
    assert (metrics._waiting._entered, metrics._running._entered) == ({}, {})
    assert registry.value("wait_seconds_count") == 3
    assert registry.value("refusals_total", reason="BusyTimeout") == 1
    assert registry.value("refusals_total", reason="CancelledError") == 1


async def test_a_reload(registry: Registry, session: MemorySession) -> None:
    await session.bind("user-1").add_items(150 * ITEMS)
    for _ in range(2):
        async with session.turn("user-1") as turn:
            await turn.get_items()
    assert registry.value("history_reloads_total") == 1


def test_the_rest(registry: Registry, metrics: TurnMetrics) -> None:
    metrics(TurnSubmittedEvent("s", "t", position=0, bytes=7))
    for attempt, end in enumerate(
        [
            TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0),
            TurnParkedEvent("s", "t", pending=1, bytes=30, seconds=1.0),
            TurnCancelledEvent("s", "t", items=2, bytes=20, seconds=1.0),
        ],
        start=1,
    ):
        metrics(TurnBegunEvent("s", "t", attempt, items=4, waited=0.0, reloaded=False))
        metrics(StepReplayedEvent("s", "t", "response", "desk"))
        metrics(end)
    metrics(
        TurnDeadLetteredEvent("s", "t", attempts=3, reason="ValueError", seconds=0.0)
    )  # not begun
    metrics(TurnCommittedEvent("s", "t", items=1, bytes=9, seconds=1.0))  # nor this
    metrics(WebhookGivenUpEvent("s", "t", "evt_1", attempts=84, reason="status 500"))
    assert registry.value("turns_running") == 0
    assert registry.value("messages_submitted_total") == 1
    assert registry.value("webhooks_given_up_total") == 1
    assert registry.value("takeovers_total") == 2
    assert registry.value("replayed_steps_total", step="response") == 3
    assert registry.value("turns_total", outcome="lost", reason="LeaseLost") == 1
    assert registry.value("turns_total", outcome="parked", reason="") == 1
    assert registry.value("turns_total", outcome="cancelled", reason="") == 1
    assert registry.value("turns_total", outcome="dead_lettered", reason="other") == 1


def test_the_documented_metrics_are_these(registry: Registry, metrics: TurnMetrics) -> None:
    counts = SessionCounts({}, None, 0)
    FleetMetrics(registry).show(FleetFigures([], Unclaimed(0, None), sessions=counts))
    words = re.findall(r"`turnwise_(\w+)`", DOCUMENTATION.read_text())
    names = {
        family.name + ("_total" if family.type == "counter" else "")
        for family in registry.collect()
    }
    assert sorted(f"turnwise_{word}" for word in words) == sorted(names)


async def test_no_label_grows_with_sessions(registry: Registry, session: MemorySession) -> None:
    for number in range(3):
        async with session.turn(f"user-{number}", turn_id=f"turn-{number}") as turn:
            await turn.add_items(ITEMS)
    page = generate_latest(registry).decode()
    assert "turnwise_turns_total" in page
    for private in ("user-", "turn-", "nobody's business"):
        assert private not in page
