"""Errors of runs that are turns reach the caller as the SDK's own runs raise them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import agents
import pytest
from agents import AgentHooks, RunHooks, RunResultStreaming
from agents.exceptions import _prepare_data_redacted_error
from agents.testing import ScriptedModel

from tests.scripted import agent, calls, says, weather
from turnwise import MemorySession, Runner


class RedactedHooks(RunHooks[Any]):
    async def on_agent_start(self, *_: Any) -> None:
        raise _prepare_data_redacted_error(ValueError("a secret"))


class FailingHooks(RunHooks[Any]):
    async def on_llm_end(self, *_: Any) -> None:
        raise RuntimeError("no database")


def in_sync(hooks: RunHooks[Any]) -> None:
    try:
        raise KeyError("the caller's")
    except KeyError:
        Runner.run_sync(
            agent(says("hello")), "hi", hooks=hooks, session=MemorySession(), session_id="s"
        )


def in_stream(hooks: RunHooks[Any]) -> None:
    async def read() -> None:
        result = Runner.run_streamed(
            agent(says("hello")), "hi", hooks=hooks, session=MemorySession(), session_id="s"
        )
        try:
            raise KeyError("the caller's")
        except KeyError:
            async for _ in result.stream_events():
                pass

    asyncio.run(read())


@pytest.mark.parametrize("run", [in_sync, in_stream])
def test_a_redacted_error_keeps_nothing_of_its_caller(
    run: Callable[[RunHooks[Any]], None],
) -> None:
    with pytest.raises(RuntimeError, match="redacted") as caught:
        run(RedactedHooks())
    assert (caught.value.__context__, caught.value.__cause__) == (None, None)


def test_any_other_error_has_its_context() -> None:
    with pytest.raises(RuntimeError, match="no database") as caught:
        in_sync(FailingHooks())
    assert isinstance(caught.value.__context__, KeyError)


async def events_before_error(result: RunResultStreaming) -> list[str]:
    events: list[str] = []
    with pytest.raises(RuntimeError, match="no database"):
        async for event in result.stream_events():
            events += [event.type]
    return events


async def test_a_stream_gives_all_that_the_run_emitted_before_its_error() -> None:
    def forecaster() -> agents.Agent[Any]:
        return agent(calls("weather"), tools=[weather])

    own = agents.Runner.run_streamed(forecaster(), "hi", hooks=FailingHooks())
    ours = Runner.run_streamed(
        forecaster(), "hi", hooks=FailingHooks(), session=MemorySession(), session_id="s"
    )
    expected = await events_before_error(own)
    assert "run_item_stream_event" in expected
    assert await events_before_error(ours) == expected


def test_what_the_sdk_refuses_without_an_event_loop_is_refused_alike() -> None:
    wrong: Any = AgentHooks()
    helper = agents.Agent(name="helper", model=ScriptedModel([]))
    with pytest.raises(TypeError, match="RunHooks"):
        Runner.run_streamed(helper, "hi", hooks=wrong, session=MemorySession(), session_id="s")
