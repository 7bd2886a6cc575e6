"""The span of a turn shows how it began, what happened, and how it ended."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from opentelemetry.trace import StatusCode, get_current_span, get_tracer

from tests.items import user
from tests.unit.spans import Exported, attributes
from turnwise import MemorySession
from turnwise.errors import BusyTimeout
from turnwise.hooks import (
    StepReplayedEvent,
    TurnBegunEvent,
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnDeadLetteredEvent,
    TurnLostEvent,
    TurnParkedEvent,
    TurnQueuedEvent,
    TurnStoppedEvent,
    TurnSubmittedEvent,
)
from turnwise.observe.opentelemetry import TurnSpans

ITEMS: list[Any] = [user("nobody's business")]


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture
def session(exported: Exported) -> MemorySession:
    return MemorySession(hooks=(TurnSpans(exported.provider),))


async def test_waits_are_recorded_with_the_holder(
    session: MemorySession, exported: Exported
) -> None:
    async def wait() -> None:
        async with session.turn("user-1", turn_id="second") as turn:
            await turn.add_items(ITEMS)

    async with session.turn("user-1", turn_id="first") as turn:
        await turn.add_items(ITEMS)
        waiting = asyncio.create_task(wait())
        while not (await session.info("user-1") or pytest.fail("no session")).queued:
            await asyncio.sleep(0)
    await waiting
    first, second = sorted(exported.spans, key=lambda span: span.start_time or 0)
    assert first.events == ()
    (event,) = second.events
    found = dict(event.attributes or {})
    assert event.name == "turn queued"
    assert found["turnwise.holder"] == session.runtime.name
    assert isinstance(found["turnwise.seconds"], float)
    assert found["turnwise.seconds"] > 0


async def test_a_refusal_is_an_event_of_the_callers_span(
    session: MemorySession, exported: Exported
) -> None:
    tracer = get_tracer("application", tracer_provider=exported.provider)
    async with session.turn("user-1", turn_id="first"):
        with tracer.start_as_current_span("request"), pytest.raises(BusyTimeout):
            second = session.turn("user-1", turn_id="second", timeout=0.01)
            await asyncio.create_task(second.__aenter__())
    (event,) = exported.one("request").events
    assert event.name == "turn refused"
    assert dict(event.attributes or {})["error.type"] == "BusyTimeout"


def test_a_queued_turn_names_the_holder(exported: Exported) -> None:
    spans = TurnSpans(exported.provider)
    spans(TurnQueuedEvent("s", "in vain", holder="other"))
    spans(TurnBegunEvent("s", "t", 1, items=0, waited=2.0, reloaded=False))
    spans(TurnCommittedEvent("s", "t", items=0, bytes=0, seconds=1.0))
    (event,) = exported.one("turn").events
    assert dict(event.attributes or {}) == {"turnwise.seconds": 2.0}


def test_takeovers_replayed_steps_and_ends(exported: Exported) -> None:
    spans = TurnSpans(exported.provider)
    spans(TurnSubmittedEvent("s", "t", position=0, bytes=7))  # outside of any span
    for number, end in enumerate(
        [
            TurnCancelledEvent("s", "t", items=2, bytes=20, seconds=1.0, reason="asked"),
            TurnParkedEvent("s", "t", pending=1, bytes=30, seconds=1.0),
            TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0),
            TurnDeadLetteredEvent("s", "t", attempts=3, reason="ValueError", seconds=1.0),
            TurnStoppedEvent("s", "t", attempts=3, reason="ValueError", seconds=1.0),
        ]
    ):
        spans(
            TurnBegunEvent(
                "s", "t", number + 1, items=4, waited=0.0, reloaded=False, journal_entries=3
            )
        )
        spans(StepReplayedEvent("s", "t", "tool", "desk", "look_up"))
        spans(end)
        spans(end)  # without a begin: recorded nowhere, and no error
    assert [attributes(span)["turnwise.outcome"] for span in exported.spans] == [
        "cancelled",
        "parked",
        "lost",
        "dead_lettered",
        "stopped",
    ]
    assert [[event.name for event in span.events] for span in exported.spans] == [
        ["step replayed", "turn cancelled"],
        ["turn taken over", "step replayed"],
        ["turn taken over", "step replayed"],
        ["turn taken over", "step replayed"],
        ["turn taken over", "step replayed"],
    ]
    assert attributes(exported.spans[0])["turnwise.reason"] == "asked"
    assert [span.status.status_code for span in exported.spans] == [
        StatusCode.UNSET,
        StatusCode.UNSET,
        StatusCode.ERROR,
        StatusCode.ERROR,
        StatusCode.ERROR,
    ]


def test_an_attempt_begun_over_one_that_did_not_end(exported: Exported) -> None:
    spans = TurnSpans(exported.provider)
    for attempt in (1, 2):
        spans(TurnBegunEvent("s", "t", attempt, items=0, waited=0.0, reloaded=False))
    spans(TurnLostEvent("s", "t", reason="LeaseLost", seconds=1.0))
    assert len(exported.spans) == 2
    assert not get_current_span().get_span_context().is_valid
