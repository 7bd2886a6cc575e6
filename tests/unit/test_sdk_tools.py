"""Canaries for the private names of the SDK's agents, tools, responses and items.

One that fails after an upgrade of the SDK says what has changed: see `turnwise/durable/sdk.py`.
"""

from __future__ import annotations

import copy
import sys
from types import SimpleNamespace
from typing import Any, cast

import agents
import pytest
from agents import (
    Agent,
    ApplyPatchTool,
    FunctionTool,
    RunContextWrapper,
    Usage,
    agent_tool_state,
    function_tool,
    handoff,
)
from agents.agent_output import AgentOutputSchema
from agents.items import MessageOutputItem
from agents.run_internal.tool_actions import ApplyPatchAction, ComputerAction
from agents.testing import assistant_message, function_call
from agents.tool import ToolOrigin, ToolOriginType
from agents.tool_context import ToolContext
from agents.tracing import FunctionSpanData, custom_span, function_span, trace
from openai.types.responses import (
    Response,
    ResponseApplyPatchToolCall,
    ResponseFunctionToolCall,
    ResponseUsage,
)

from tests.scripted import Script, says
from tests.unit.spans import sdk_tracing
from turnwise.durable import sdk
from turnwise.observe.names import CALL_ID


@function_tool
def weather(city: str = "Oslo") -> str:
    """The weather."""
    return f"sunny in {city}"


def context(tool_name: str = "weather") -> ToolContext[Any]:
    return ToolContext(None, tool_name=tool_name, tool_call_id="c", tool_arguments="{}")


def test_agents_as_tools_are_known() -> None:
    assert sdk.is_agent_tool(Agent(name="a").as_tool("ask", ""))
    assert not sdk.is_agent_tool(weather)


def test_function_tools_share_one_kind_of_invoker() -> None:
    for tool in (weather, Agent(name="a").as_tool("ask", "")):
        invoker = tool.on_invoke_tool
        assert type(invoker) is sdk.FunctionToolInvoker
        assert sdk.tool_of(invoker) is tool
    copied = copy.copy(weather)
    assert copied.on_invoke_tool is not weather.on_invoke_tool
    assert isinstance(copied.on_invoke_tool, sdk.FunctionToolInvoker)
    assert sdk.tool_of(copied.on_invoke_tool) is copied


async def test_an_invokers_class_may_be_replaced_by_one_of_its_kind() -> None:
    """The arguments are prepared for approvals as before, and a call goes to the new class."""

    class Own(sdk.FunctionToolInvoker):
        async def __call__(self, ctx: Any, input: str) -> Any:
            return "own"

    tool = copy.copy(weather)
    invoker: Any = tool.on_invoke_tool
    invoker.__class__ = Own
    assert await tool.on_invoke_tool(context(), "{}") == "own"
    prepared = invoker.prepare_arguments("{}", "weather")
    assert prepared is not None
    assert not prepared.unchanged


def test_a_copied_tool_gets_an_invoker_of_its_own() -> None:
    class Own(sdk.RebindingInvoker):
        def __init__(self, tool: FunctionTool | None = None) -> None:
            self.tool = tool

        async def __call__(self, ctx: Any, input: str) -> str:
            return ""

        def bound_to(self, tool: FunctionTool) -> Own:
            return Own(tool)

    tool = FunctionTool("t", "", {}, Own())
    copied = copy.copy(tool)
    assert isinstance(copied.on_invoke_tool, Own)
    assert copied.on_invoke_tool is not tool.on_invoke_tool
    assert copied.on_invoke_tool.tool is copied


def test_the_context_is_narrowed_by_annotation() -> None:
    async def plain(context: RunContextWrapper[Any], text: str) -> str:
        return ""

    async def rich(context: ToolContext[Any], text: str) -> str:
        return ""

    given = context()
    assert type(sdk.invoke_context(plain, given)) is RunContextWrapper
    assert sdk.invoke_context(rich, given) is given


async def test_the_sdk_marks_its_own_error_texts() -> None:
    @function_tool
    def fails() -> str:
        raise ValueError

    given = context("fails")
    await fails.on_invoke_tool(given, "{}")
    assert sdk.is_error_text(given)
    assert not sdk.is_error_text(context())
    other = context()
    sdk.mark_error_text(other)
    assert sdk.is_error_text(other)
    sdk.mark_error_text(None)


def response() -> Response:
    return Response(
        id="r",
        created_at=0,
        model="m",
        object="response",
        output=[],
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
    )


def test_a_tool_s_span_takes_the_id_of_its_call() -> None:
    data = FunctionSpanData("look_up", None, None)
    with sdk_tracing(), trace("run"), function_span("look_up") as span:
        sdk.name_call("call_1")
        with custom_span("inner"):
            sdk.name_call("call_2")
    assert getattr(span.span_data, CALL_ID) == "call_1"
    assert span.span_data.export() == data.export()


def test_usage_goes_into_a_response_and_comes_out_the_same() -> None:
    usage = Usage(requests=2, input_tokens=3, output_tokens=4, total_tokens=7)
    given = response()
    sdk.attach_usage(given, usage, {"prompt_tokens": 3})
    assert sdk.usage_in(given) == usage
    assert sdk.raw_usage_in(given) == {"prompt_tokens": 3}
    assert isinstance(given.usage, ResponseUsage)
    assert given.usage.total_tokens == 7


def test_a_response_may_have_no_usage() -> None:
    assert sdk.usage_in(response()) == Usage(requests=0)
    assert sdk.raw_usage_in(response()) is None


def test_a_response_has_the_id_of_its_request() -> None:
    given = response()
    assert sdk.request_id_in(given) is None
    sdk.set_request_id(given, "req_1")
    assert sdk.request_id_in(given) == "req_1"


async def test_the_run_loop_takes_the_id_of_a_streamed_request() -> None:
    """It reads it where it is set here."""

    class Streaming(Script):
        async def stream_response(self, *args: Any, **options: Any) -> Any:
            async for event in super().stream_response(*args, **options):
                if event.type == "response.completed":
                    sdk.set_request_id(event.response, "req_1")
                yield event

    result = agents.Runner.run_streamed(Agent(name="a", model=Streaming(says("done"))), "go")
    async for _ in result.stream_events():
        pass
    assert [response.request_id for response in result.raw_responses] == ["req_1"]


@pytest.mark.parametrize("extra", [{}, {"added_later": 1}], ids=["known", "with a new field"])
def test_output_items_are_made_of_json(extra: dict[str, Any]) -> None:
    item: Any = assistant_message("hello")
    value = item.model_dump(exclude_unset=True) | extra
    made: Any = sdk.output_item(value)
    assert type(made) is type(item)
    assert made.model_dump(exclude_unset=True) == value
    assert extra or made == item


def test_a_handoff_tells_where_it_leads() -> None:
    agent = Agent(name="a")
    assert sdk.target_of(handoff(agent)) is agent


def test_output_types_have_a_schema() -> None:
    assert sdk.output_schema_of(Agent(name="a")) is None
    assert isinstance(sdk.output_schema_of(Agent(name="a", output_type=int)), AgentOutputSchema)


def test_calls_are_described_by_their_tools() -> None:
    call = ResponseFunctionToolCall(
        arguments="{}", call_id="c", name="weather", type="function_call"
    )
    assert sdk.described(Agent(name="a", tools=[weather]), call) == {
        "description": "The weather.",
        "title": None,
        "tool_origin": ToolOrigin(type=ToolOriginType.FUNCTION),
    }
    assert sdk.described(Agent(name="a"), call) == {}


def test_items_have_events() -> None:
    message: Any = assistant_message("hello")
    item = MessageOutputItem(agent=Agent(name="a"), raw_item=message)
    event: Any = sdk.item_events([item])[0]
    assert (event.type, event.name) == ("run_item_stream_event", "message_output_created")
    assert event.item is item


def test_tools_tell_the_type_of_their_output() -> None:
    assert sdk.output_schema(weather) == {"output_json_schema": None, "output_type_adapter": None}
    assert isinstance(weather, FunctionTool)


def test_tools_tell_whether_they_run_in_a_thread() -> None:
    async def waits() -> str:
        return ""

    def blocks() -> str:
        return ""

    assert [sdk.runs_in_thread(agents.function_tool(tool)) for tool in (waits, blocks)] == [
        False,
        True,
    ]
    assert not sdk.runs_in_thread(agents.WebSearchTool())


def test_the_run_inside_an_agent_tool_waits_no_more() -> None:
    call: Any = function_call("ask", "{}", call_id="c")
    state = agent_tool_state
    for context, scope in ((SimpleNamespace(), None), (SimpleNamespace(), "scope")):
        state.set_agent_tool_state_scope(context, scope)
        state.record_agent_tool_run_result(call, cast("Any", object()), scope_id=scope)
        assert state.peek_agent_tool_run_result(call, scope_id=scope) is not None
        sdk.forget_interrupted_run(call, context)
        assert state.peek_agent_tool_run_result(call, scope_id=scope) is None
    sdk.forget_interrupted_run(None, context)


async def test_patches_are_carried_out_by_what_is_known_as_that() -> None:
    """And computers: both are in the same module of the SDK."""
    seen: list[bool] = []

    class Watched:
        def create_file(self, operation: Any) -> None:
            seen.append(sdk.is_tool_execution(sys._getframe(1)))

    operation = {"type": "create_file", "path": "a", "diff": "+x"}
    call = ResponseApplyPatchToolCall.model_validate(
        {"id": "i", "call_id": "c", "operation": operation, "status": "completed"}
        | {"type": "apply_patch_call"}
    )
    editor: Any = Watched()
    helper = Agent(name="a", model=Script([call], says("done")), tools=[ApplyPatchTool(editor)])
    await agents.Runner.run(helper, "go")
    editor.create_file(None)
    assert seen == [True, False]
    assert ComputerAction.__module__ == ApplyPatchAction.__module__
