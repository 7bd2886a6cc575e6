"""A message's events have bounds with names: how long, how many, and how many bytes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, says, weather
from turnwise.errors import UsageError

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["sqlite", "valkey"])


async def published(sessions: Sessions, **options: Any) -> list[str]:
    """The types of the events of a run of two steps, as they can be read when it has ended."""
    session = sessions.worker(**options).bind(sessions.new_id())
    answering = agent(calls("weather"), says("sunny"), tools=[weather])
    receipt = await session.submit(None, "weather?", agent=answering)
    await session.drain(None, answering)
    assert (await receipt.result(0)).final_output == "sunny"
    return [event["type"] async for _, event in receipt.events()]


async def test_bytes(sessions: Sessions, caplog: pytest.LogCaptureFixture) -> None:
    """Only the run's own events count; how the turn ends is told in any case."""
    everything = await published(sessions)
    assert len(everything) > 6
    assert not caplog.records
    assert await published(sessions, max_event_bytes=0) == ["turn.begun", "turn.finished"]
    some = await published(sessions, max_event_bytes=700)
    assert some == [*everything[: len(some) - 1], "turn.finished"]
    assert 2 < len(some) < len(everything)
    warnings = [record.getMessage() for record in caplog.records]
    assert [("max_event_bytes=" in warning) for warning in warnings] == [True, True]


async def test_number(sessions: Sessions) -> None:
    everything, last = await published(sessions), await published(sessions, max_events=2)
    assert len(last) < len(everything)
    assert last[-1] == "turn.finished"


async def test_what_are_no_bounds(sessions: Sessions) -> None:
    for name in ("events_ttl", "max_events", "max_event_bytes"):
        with pytest.raises(UsageError, match=name):
            sessions.worker(**{name: -1})
