"""Nobody can change the cached items of a session, although runs get those very items.

The SDK's loop is trusted to copy items before it changes or shows them. These tests hold each
version of the SDK to that: every piece of the application's code that sees a run changes what it
sees.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from typing import Any, cast

import agents
import pytest
from agents import (
    Agent,
    AgentsException,
    GuardrailFunctionOutput,
    RunConfig,
    RunContextWrapper,
    ToolGuardrailFunctionOutput,
    function_tool,
    handoff,
    input_guardrail,
    output_guardrail,
    tool_input_guardrail,
)
from agents.run_config import CallModelData, ModelInputData
from agents.tool_context import ToolContext

from tests.items import assistant, call, output, user
from tests.scripted import Script, agent, calls, says
from turnwise import MemorySession, Runner
from turnwise.runner.shared_items import TurnResult, may_share
from turnwise.session import Session

NESTED = {"role": "user", "content": [{"type": "input_text", "text": "a", "x": {"y": [1]}}]}
HISTORY: list[Any] = [user("q"), assistant("a"), NESTED, call("c"), output("c"), assistant("b")]
seen_by: set[str] = set()


def vandalise(value: Any, who: str) -> None:
    """Change everything that can be reached, in place."""
    if isinstance(value, dict):
        seen_by.add(who)
        for member in list(value.values()):
            vandalise(member, who)
        value["vandal"] = who
    elif isinstance(value, list | tuple):
        for member in value:
            vandalise(member, who)
        if isinstance(value, list) and value and not isinstance(value[0], dict):
            value.append(who)


class VandalModel(Script):
    def given(self, prompt: str | None, input: str | list[Any]) -> list[Any]:
        given = super().given(prompt, input)
        vandalise(given, "model")
        return given


def on_context(context: Any, who: str) -> None:
    if isinstance(context, RunContextWrapper):
        vandalise(context.turn_input, who)


class VandalHooks(agents.RunHooks[Any]):
    async def on_agent_start(self, context: Any, agent: Any) -> None:
        on_context(context, "on_agent_start")

    async def on_agent_end(self, context: Any, agent: Any, output: Any) -> None:
        on_context(context, "on_agent_end")

    async def on_llm_start(self, context: Any, agent: Any, prompt: Any, items: Any) -> None:
        on_context(context, "on_llm_start")
        vandalise(items, "on_llm_start's items")

    async def on_llm_end(self, context: Any, agent: Any, response: Any) -> None:
        on_context(context, "on_llm_end")

    async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
        on_context(context, "on_tool_start")

    async def on_tool_end(self, context: Any, agent: Any, tool: Any, result: Any) -> None:
        on_context(context, "on_tool_end")

    async def on_handoff(self, context: Any, from_agent: Any, to_agent: Any) -> None:
        on_context(context, "on_handoff")


class VandalAgentHooks(agents.AgentHooks[Any]):
    async def on_llm_start(self, context: Any, agent: Any, prompt: Any, items: Any) -> None:
        vandalise(items, "the agent's on_llm_start")


@tool_input_guardrail
def guard_of_tool(data: Any) -> ToolGuardrailFunctionOutput:
    on_context(data.context, "tool guardrail")
    return ToolGuardrailFunctionOutput.allow()


@function_tool(tool_input_guardrails=[guard_of_tool])
def peek(context: ToolContext[Any]) -> str:
    on_context(context, "tool")
    return "peeked"


def instructions(context: RunContextWrapper[Any], agent: Agent[Any]) -> str:
    on_context(context, "instructions")
    return "be kind"


@input_guardrail
def guard(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
    on_context(context, "guardrail's context")
    vandalise(given, "input guardrail")
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


@output_guardrail
def guard_of_output(context: Any, agent: Any, given: Any) -> GuardrailFunctionOutput:
    on_context(context, "output guardrail's context")
    return GuardrailFunctionOutput(output_info=None, tripwire_triggered=False)


def spoil_model_input(data: CallModelData[Any]) -> ModelInputData:
    vandalise(data.model_data.input, "call_model_input_filter")
    return data.model_data


def spoil_callback(history: list[Any], new: list[Any]) -> list[Any]:
    vandalise(history, "session_input_callback")
    return [*history, *new]


def spoil_handoff(data: agents.HandoffInputData) -> agents.HandoffInputData:
    vandalise(data.input_history, "handoff filter")
    return data


def spoil_error(data: agents.RunErrorHandlerInput[Any]) -> agents.RunErrorHandlerResult:
    vandalise(data.run_data.input, "error handler's input")
    vandalise(data.run_data.history, "error handler's history")
    return agents.RunErrorHandlerResult(final_output="enough")


def peeking(*replies: Any, **settings: Any) -> Agent[Any]:
    model = VandalModel(*(replies or (calls("peek"), says("done"))))
    return Agent(name="agent", model=model, tools=[peek], instructions=instructions, **settings)


def _handing_over(**settings: Any) -> Agent[Any]:
    other = peeking(handoff_description="other")
    other.name = "other"
    return peeking(calls("transfer_to_other", "call_0"), handoffs=[handoff(other, **settings)])


def with_tool_of(agent: Agent[Any]) -> Agent[Any]:
    tool = agent.as_tool("helper", "helps")
    outer = peeking(calls("helper", "call_0", '{"input": "x"}'), says("done"))
    return outer.clone(tools=[tool])


SHARED: dict[str, Callable[[], tuple[Agent[Any], dict[str, Any]]]] = {
    "model, instructions, tools, tool guardrails": lambda: (peeking(), {}),
    "hooks": lambda: (peeking(), {"hooks": VandalHooks()}),
    "agent's hooks": lambda: (peeking(hooks=VandalAgentHooks()), {}),
    "output guardrail": lambda: (peeking(output_guardrails=[guard_of_output]), {}),
    "call_model_input_filter": lambda: (
        peeking(),
        {"run_config": RunConfig(call_model_input_filter=spoil_model_input)},
    ),
    "session_input_callback": lambda: (
        peeking(),
        {"run_config": RunConfig(session_input_callback=spoil_callback)},
    ),
    "a run_config as a dict": lambda: (
        peeking(),
        {"run_config": {"call_model_input_filter": spoil_model_input}},
    ),
    "agent as tool": lambda: (
        with_tool_of(peeking(input_guardrails=[guard])),
        {"hooks": VandalHooks()},
    ),
}
COPIED: dict[str, Callable[[], tuple[Agent[Any], dict[str, Any]]]] = {
    "input guardrail": lambda: (peeking(input_guardrails=[guard]), {}),
    "input guardrail of the run": lambda: (
        peeking(),
        {"run_config": RunConfig(input_guardrails=[guard])},
    ),
    "handoff filter": lambda: (_handing_over(input_filter=spoil_handoff), {}),
    "handoff filter of the run": lambda: (
        _handing_over(),
        {"run_config": RunConfig(handoff_input_filter=spoil_handoff)},
    ),
    "handoff with nested history": lambda: (
        _handing_over(),
        {"run_config": RunConfig(nest_handoff_history=True), "hooks": VandalHooks()},
    ),
    "error handler": lambda: (
        peeking(calls("peek")),
        {"max_turns": 1, "error_handlers": {"max_turns": spoil_error}},
    ),
}


async def known_session() -> tuple[Session, list[Any]]:
    """A session, and the very items that its worker keeps of it."""
    session = MemorySession(session_id="s")
    await session.add_items(deepcopy(HISTORY))
    async with session.turn(shared=True) as turn:
        kept = await turn.get_items()
        assert all(one is other for one, other in zip(await turn.get_items(), kept, strict=True))
    assert kept == HISTORY
    return session, kept


def check_undamaged(session: Session, kept: list[Any]) -> None:
    assert kept == HISTORY
    past = session.runtime.reader.cache.get("s")
    assert past is not None
    now = past.items()[: len(kept)]
    assert now == HISTORY
    assert all(one is other for one, other in zip(now, kept, strict=True))


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("vandals", [*SHARED, *COPIED])
async def test_nothing_that_sees_a_run_can_damage_the_cache(vandals: str, streamed: bool) -> None:
    session, kept = await known_session()
    helper, options = (SHARED | COPIED)[vandals]()
    seen_by.clear()
    result: Any
    if streamed:
        result = Runner.run_streamed(helper, "hi", session=session, **options)
        async for _ in result.stream_events():
            vandalise(result.input, "stream")
    else:
        result = await Runner.run(helper, "hi", session=session, **options)
        assert isinstance(result, TurnResult) == (vandals in SHARED)
    assert len(seen_by) > 1
    check_undamaged(session, kept)
    vandalise(result.input, "result.input")
    vandalise(result.to_input_list(), "to_input_list")
    vandalise(result.context_wrapper.turn_input, "context")
    if vandals in SHARED:
        vandalise(vars(result.to_state())["_original_input"], "to_state")
    check_undamaged(session, kept)


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_error_of_a_run_cannot_damage_the_cache(streamed: bool) -> None:
    session, kept = await known_session()
    helper = peeking(calls("peek"))
    with pytest.raises(agents.MaxTurnsExceeded) as raised:
        if streamed:
            result = Runner.run_streamed(helper, "hi", session=session, max_turns=1)
            async for _ in result.stream_events():
                pass
        else:
            await Runner.run(helper, "hi", session=session, max_turns=1)
    details = raised.value.run_data
    assert details is not None
    seen_by.clear()
    vandalise(details.input, "error")
    assert seen_by
    check_undamaged(session, kept)


async def test_a_result_shows_the_input_that_the_sdks_result_shows() -> None:
    session, _ = await known_session()
    model = agents.SQLiteSession("model")
    await model.add_items(deepcopy(HISTORY))
    ours = await Runner.run(agent(says("done")), "hi", session=session)
    theirs = await agents.Runner.run(agent(says("done")), "hi", session=model)
    assert ours.input == theirs.input
    assert ours.input is ours.input
    assert ours.to_input_list() == theirs.to_input_list()
    assert isinstance(ours, agents.RunResult)
    assert replace(ours, input="other").input == "other"
    model.close()


def test_items_are_shared_only_if_nothing_but_the_loop_sees_them() -> None:
    for make, shared in [(each, True) for each in SHARED.values()] + [
        (each, False) for each in COPIED.values()
    ]:
        helper, options = make()
        assert may_share(helper, "hi", options) == shared
    assert not may_share(agent(), cast(Any, object.__new__(agents.RunState)), {})


async def test_callers_get_copies_of_their_own() -> None:
    session, kept = await known_session()
    seen_by.clear()
    for limit in (None, 2):
        vandalise(await session.get_items(limit), "get_items")
        async with session.turn() as turn:
            vandalise(await turn.get_items(limit), "turn.get_items")
    items: list[Any] = [deepcopy(NESTED)]
    async with session.turn() as turn:
        await turn.add_items(items)
        vandalise(items, "what was added")
        vandalise(await turn.get_items(1), "turn.get_items")
    vandalise(await session.pop_item(), "pop_item")
    assert seen_by == {"get_items", "turn.get_items", "what was added", "pop_item"}
    assert await session.get_items() == HISTORY
    assert kept == HISTORY


async def test_agents_exceptions_without_details_are_passed_on() -> None:
    session, _ = await known_session()
    with pytest.raises(AgentsException):
        await Runner.run(agent(agents.ModelBehaviorError("odd")), "hi", session=session)
