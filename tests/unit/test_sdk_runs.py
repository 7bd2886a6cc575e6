"""Canaries for what the SDK does not promise about runs, their results and their sessions.

One that fails after an upgrade of the SDK says what has changed: see `turnwise/durable/sdk.py`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import inspect
from typing import Any

import agents
import pytest
from agents import (
    Agent,
    GuardrailFunctionOutput,
    ModelProvider,
    RunConfig,
    RunContextWrapper,
    RunResult,
    RunResultStreaming,
    RunState,
    input_guardrail,
)
from agents.exceptions import _prepare_data_redacted_error
from agents.memory import Session as SDKSession
from agents.memory.session_settings import SessionSettings, coerce_session_settings
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner

from tests.scripted import Script, agent, calls, says
from turnwise import MemorySession, Runner
from turnwise.durable import sdk
from turnwise.durable.sdk_states import current_agent
from turnwise.runner.options import RunOptions


async def test_the_default_runner_runs_all_runs() -> None:
    """Also those inside others: of agents as tools."""
    seen: list[str] = []

    class Own(AgentRunner):
        async def run(self, starting_agent: Any, input: Any, **options: Any) -> Any:
            seen.append(starting_agent.name)
            return await super().run(starting_agent, input, **options)

    inner = Agent(name="inner", model=Script(says("inner")))
    model = Script(calls("ask", arguments='{"input": "x"}'), says("done"))
    outer = Agent(name="outer", model=model, tools=[inner.as_tool("ask", "")])
    before = get_default_agent_runner()
    set_default_agent_runner(Own())
    try:
        await agents.Runner.run(outer, "go")
    finally:
        set_default_agent_runner(before)
    assert seen == ["outer", "inner"]


def test_a_run_owns_the_provider_that_nobody_gave_it() -> None:
    class Provider(ModelProvider):
        def get_model(self, model_name: str | None) -> Script:
            return Script(says("done"))

    own = RunConfig(model_provider=Provider())
    assert sdk.normalize_config(own) == (own, False)
    assert sdk.normalize_config({"model_provider": own.model_provider})[1] is False
    assert sdk.normalize_config(None)[1] is True
    assert sdk.normalize_config({"workflow_name": "x"})[1] is True


async def test_providers_are_closed() -> None:
    closed: list[str] = []

    class Provider(ModelProvider):
        def get_model(self, model_name: str | None) -> Script:
            return Script(says("done"))

        async def aclose(self) -> None:
            closed.append("closed")

    provider = Provider()
    await sdk.close_provider(provider)
    config = RunConfig(model_provider=provider)
    result = agents.Runner.run_streamed(Agent(name="a"), "go", run_config=config)
    sdk.close_when_over(result, provider)
    async for _ in result.stream_events():
        pass
    while len(closed) < 2:
        await asyncio.sleep(0)


def test_a_resumed_run_knows_its_agent() -> None:
    helper = Agent(name="a")
    state = RunState(RunContextWrapper(None), "go", helper)
    assert current_agent(state) is helper


class Blocked(Script):
    """A model that streams nothing until it is cancelled."""

    def __init__(self, asked: asyncio.Event) -> None:
        super().__init__()
        self.is_asked = asked

    async def stream_response(self, *args: Any, **options: Any) -> Any:
        self.is_asked.set()
        await asyncio.Event().wait()
        yield


def test_the_streamed_result_has_the_names_that_end_its_turn() -> None:
    fields = {field.name for field in dataclasses.fields(RunResultStreaming)}
    assert {"run_loop_task", "input"} <= fields
    assert inspect.isasyncgenfunction(RunResultStreaming.stream_events)
    assert list(inspect.signature(RunResultStreaming.cancel).parameters) == ["self", "mode"]


def test_a_result_can_be_made() -> None:
    helper: Agent[Any] = Agent(name="a")
    wrapper = RunContextWrapper("context")
    made = sdk.completed_result(
        input=[],
        new_items=[],
        raw_responses=[],
        final_output="done",
        context_wrapper=wrapper,
        last_agent=helper,
        max_turns=None,
    )
    assert made.max_turns is None
    assert (made.final_output, made.last_agent, made.context_wrapper) == ("done", helper, wrapper)
    assert made.to_input_list() == []


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


async def test_a_streamed_run_says_what_it_failed_with() -> None:
    @input_guardrail
    async def guard(*_: Any) -> GuardrailFunctionOutput:
        return GuardrailFunctionOutput(output_info=None, tripwire_triggered=True)

    helper = agent(says("hello"), input_guardrails=[guard])
    result = agents.Runner.run_streamed(helper, "hi")
    assert result.run_loop_task is not None
    await asyncio.wait({result.run_loop_task})
    error = await sdk.failure_of(result)
    assert isinstance(error, agents.InputGuardrailTripwireTriggered)
    with pytest.raises(agents.InputGuardrailTripwireTriggered):
        async for _ in result.stream_events():
            pass


class FailingHooks(agents.RunHooks[Any]):
    async def on_llm_end(self, *_: Any) -> None:
        raise RuntimeError("no database")


async def test_a_stream_that_is_read_late_gives_what_came_before_its_error() -> None:
    result = agents.Runner.run_streamed(agent(says("hello")), "hi", hooks=FailingHooks())
    result.__class__ = sdk.StreamToTheEnd
    assert result.run_loop_task is not None
    await asyncio.wait({result.run_loop_task})
    seen = [""]
    with pytest.raises(RuntimeError, match="no database"):
        async for event in result.stream_events():
            seen += [event.type]
    assert seen[-1] == "run_item_stream_event"


def test_only_a_redacted_error_forgets_what_its_caller_was_handling() -> None:
    redacted, other = _prepare_data_redacted_error(ValueError("a secret")), ValueError("another")
    for error in (redacted, other):
        error.__context__ = KeyError("the caller's")
        sdk.forget_redacted(error)
    assert redacted.__context__ is None
    assert isinstance(other.__context__, KeyError)


async def test_the_events_of_a_run_can_be_tapped() -> None:
    seen: list[str] = []
    result = agents.Runner.run_streamed(agent(says("hello")), "hi")
    sdk.tap_events(result, lambda event: seen.append(event.type))
    assert seen == []
    assert [event.type async for event in result.stream_events()] == seen
    assert seen


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
