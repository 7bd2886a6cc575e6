"""What is used of the SDK without being promised by it. A failure here names what has changed."""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

import agents
import pytest
from agents import GuardrailFunctionOutput, RunResult, RunResultStreaming, input_guardrail
from agents.memory import Session as SDKSession
from agents.memory.session_settings import SessionSettings, coerce_session_settings

from tests.scripted import agent, says
from turnwise import MemorySession, Runner
from turnwise.runner.options import RunOptions


def test_the_streamed_result_has_the_names_that_end_its_turn() -> None:
    fields = {field.name for field in dataclasses.fields(RunResultStreaming)}
    assert {"run_loop_task", "_input_guardrails_task", "_stored_exception", "input"} <= fields
    assert inspect.isfunction(RunResultStreaming._check_errors)
    assert inspect.isasyncgenfunction(RunResultStreaming.stream_events)
    assert list(inspect.signature(RunResultStreaming.cancel).parameters) == ["self", "mode"]


def test_results_may_change_their_class() -> None:
    for kind in (RunResult, RunResultStreaming):
        assert "__slots__" not in vars(kind)
    assert "input" in {field.name for field in dataclasses.fields(RunResult)}
    assert "input" not in vars(RunResult)


async def test_the_run_of_a_stream_is_a_task_from_the_start() -> None:
    result = agents.Runner.run_streamed(agent(says("hello")), "hi")
    assert isinstance(result.run_loop_task, asyncio.Task)
    async for _ in result.stream_events():
        pass
    assert result.run_loop_task.done()


async def test_check_errors_stores_what_a_guardrail_found() -> None:
    @input_guardrail
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    helper = agent(says("hello"), input_guardrails=[guard])
    result = agents.Runner.run_streamed(helper, "hi")
    assert result.run_loop_task is not None
    await asyncio.wait({result.run_loop_task})
    if result._input_guardrails_task is not None:
        await asyncio.wait({result._input_guardrails_task})
    result._check_errors()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    assert isinstance(result._stored_exception, agents.InputGuardrailTripwireTriggered)
    with pytest.raises(agents.InputGuardrailTripwireTriggered):
        async for _ in result.stream_events():
            pass


def test_a_run_takes_what_the_sdks_run_takes() -> None:
    ours = {
        *RunOptions.__annotations__,
        "starting_agent",
        "input",
        "session",
    }
    for name in ("run", "run_streamed", "run_sync"):
        theirs = set(inspect.signature(getattr(agents.Runner, name)).parameters)
        assert theirs == ours, name
        mine = inspect.signature(getattr(Runner, name)).parameters
        assert list(mine)[:2] == ["starting_agent", "input"]


async def test_our_sessions_are_the_sdks() -> None:
    session = MemorySession()
    assert isinstance(session, SDKSession)
    assert isinstance(session.bind("s"), SDKSession)
    async with session.turn("s") as turn:
        assert isinstance(turn, SDKSession)
    assert coerce_session_settings({"limit": 3}) == SessionSettings(limit=3)
