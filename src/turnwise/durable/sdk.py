"""What the Agents SDK does not promise to keep, all in one place; each has a canary test.

Everything else in this package uses the SDK's public names.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from types import FrameType, SimpleNamespace
from typing import Any, cast, get_args

from agents import (
    Agent,
    ApplyPatchTool,
    CustomTool,
    FunctionTool,
    Handoff,
    RunConfig,
    RunItem,
    RunResultStreaming,
    RunState,
    ShellTool,
    StreamEvent,
    Usage,
)
from agents.agent_output import AgentOutputSchemaBase
from agents.agent_tool_state import drop_agent_tool_run_result, get_agent_tool_state_scope
from agents.models.interface import ModelProvider
from agents.run import AgentRunner, get_default_agent_runner, set_default_agent_runner
from agents.run_internal import tool_actions
from agents.run_internal.model_provider_lifecycle import (
    _close_runner_owned_model_provider,
    _normalize_run_config_for_runner,
)
from agents.run_internal.streaming import stream_step_items_to_queue
from agents.run_internal.turn_preparation import get_output_schema
from agents.tool import (
    _DEFAULT_FAILURE_HANDLED_ATTR,
    _SYNC_FUNCTION_TOOL_MARKER,
    _FailureHandlingFunctionToolInvoker,
    _get_function_tool_invoke_context,
    get_function_tool_origin,
)
from agents.tool_context import ToolContext
from agents.usage import (
    _attach_normalized_usage,
    _attach_raw_usage_snapshot,
    _extract_raw_usage_snapshot,
    _requests_for_response_without_usage,
    _response_usage_to_usage,
)
from openai._models import construct_type
from openai.types.responses import Response, ResponseOutputItem, ResponseUsage

__all__ = [
    "AgentRunner",
    "FunctionToolInvoker",
    "attach_usage",
    "carries_out",
    "close_provider",
    "close_when_over",
    "current_agent",
    "error_was_formatted",
    "get_default_agent_runner",
    "is_agent_tool",
    "mark_error_formatted",
    "narrowed",
    "normalized",
    "output_item",
    "output_schema",
    "overhear",
    "raw_usage_of",
    "runs_in_thread",
    "set_default_agent_runner",
    "tool_of",
    "usage_of",
]

FunctionToolInvoker = _FailureHandlingFunctionToolInvoker
"""What the SDK makes of a decorated function, an agent as a tool, and a tool of an MCP server."""


def normalized(config: RunConfig | dict[str, Any] | None) -> tuple[RunConfig, bool]:
    """The run config that was meant, and whether its model provider is the run's to close."""
    return _normalize_run_config_for_runner(config)


async def close_provider(provider: ModelProvider) -> None:
    await _close_runner_owned_model_provider(provider)


def close_when_over(result: RunResultStreaming, provider: ModelProvider) -> None:
    """Close the provider when the streamed run is over."""
    result._ensure_model_provider_cleanup_on_completion(lambda: close_provider(provider))


def current_agent(state: RunState[Any]) -> Agent[Any] | None:
    """The agent that a resumed run goes on with."""
    return state._current_agent


def is_agent_tool(tool: object) -> bool:
    """Whether the tool is an agent, as `Agent.as_tool` makes it."""
    return isinstance(tool, FunctionTool) and tool._is_agent_tool


def tells_errors(tool: object) -> bool:
    """Whether the model is told what this tool raises. What another one raises ends the run."""
    return isinstance(tool, ApplyPatchTool | CustomTool | ShellTool)


def forget_waiting(call: Any, context: object) -> None:
    """The run inside this call of an agent as a tool does not wait for approvals any more."""
    if call is not None:
        drop_agent_tool_run_result(call, scope_id=get_agent_tool_state_scope(context))


def target_of(handoff: Handoff[Any, Any]) -> Agent[Any] | None:
    """The agent that a handoff leads to, where the SDK knows it beforehand."""
    reference = handoff._agent_ref
    agent = None if reference is None else reference()
    return agent if isinstance(agent, Agent) else None


def output_schema_of(agent: Agent[Any]) -> AgentOutputSchemaBase | None:
    return get_output_schema(agent)


def described(agent: Agent[Any], call: Any) -> dict[str, Any]:
    """What the SDK notes beside a call of one of the agent's tools."""
    for tool in agent.tools:
        if isinstance(tool, FunctionTool) and tool.name == getattr(call, "name", None):
            origin = get_function_tool_origin(tool)
            return {
                "description": tool.description,
                "title": tool._mcp_title,
                "tool_origin": origin,
            }
    return {}


def item_events(items: Sequence[RunItem]) -> list[StreamEvent]:
    """The events that a stream gives for new items."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    stream_step_items_to_queue(list(items), queue)
    return [queue.get_nowait() for _ in range(queue.qsize())]


def overhear(result: RunResultStreaming, told: Callable[[StreamEvent], object]) -> None:
    """Have each event told as the run makes it, read or not. To be called before the run starts."""
    result._event_queue = _Overheard(told)


class _Overheard(asyncio.Queue[Any]):
    def __init__(self, told: Callable[[StreamEvent], object]) -> None:
        super().__init__()
        self._told = told

    def put_nowait(self, item: Any) -> None:
        if isinstance(item, get_args(StreamEvent)):
            self._told(item)
        super().put_nowait(item)


def output_schema(tool: FunctionTool) -> dict[str, Any]:
    """How the tool's output becomes the text that the model sees, if it has a type."""
    return {
        "output_json_schema": tool.output_json_schema,
        "output_type_adapter": tool._output_type_adapter,
    }


def runs_in_thread(tool: object) -> bool:
    """Whether it is made of a function that is not async: it cannot be cancelled."""
    invoker = getattr(tool, "on_invoke_tool", None)
    return bool(getattr(invoker, _SYNC_FUNCTION_TOOL_MARKER, False))


def tool_of(invoker: _FailureHandlingFunctionToolInvoker) -> FunctionTool:
    """The tool whose invoker this is."""
    tool = invoker._function_tool
    assert tool is not None
    return tool


def narrowed(invoker: Callable[..., Any], context: ToolContext[Any]) -> Any:
    """The context in the form that a hand-written invoker asks for by its annotation."""
    return _get_function_tool_invoke_context(
        cast(FunctionTool, SimpleNamespace(on_invoke_tool=invoker)), context
    )


def error_was_formatted(context: object) -> bool:
    """Whether the tool's output is the SDK's own text about an error: no schema applies to it."""
    return bool(getattr(context, _DEFAULT_FAILURE_HANDLED_ATTR, False))


def mark_error_formatted(context: object) -> None:
    if context is not None:
        setattr(context, _DEFAULT_FAILURE_HANDLED_ATTR, True)


def usage_of(response: Response) -> Usage:
    """The usage of a streamed response, as the SDK's run loop counts it."""
    if response.usage:
        return _response_usage_to_usage(response.usage)
    return Usage(requests=_requests_for_response_without_usage(response))


def raw_usage_of(response: Response) -> dict[str, Any] | None:
    return _extract_raw_usage_snapshot(response)


def attach_usage(response: Response, usage: Usage, raw: dict[str, Any] | None) -> None:
    """Give a response made here exactly this usage."""
    response.usage = ResponseUsage.model_validate(
        {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "total_tokens": usage.total_tokens,
            "input_tokens_details": _details(usage.input_tokens_details),
            "output_tokens_details": _details(usage.output_tokens_details),
        }
    )
    _attach_normalized_usage(response.usage, usage)
    if raw is not None:
        _attach_raw_usage_snapshot(response, raw)


def _details(details: Any) -> dict[str, Any]:
    given: dict[str, Any] = details.model_dump()
    return {"cached_tokens": 0, "cache_write_tokens": 0, "reasoning_tokens": 0} | given


def output_item(value: Mapping[str, Any]) -> ResponseOutputItem:
    """An output item of a model from its JSON, of the type that its `type` names, unchecked."""
    return cast(
        ResponseOutputItem,
        construct_type(value=dict(value), type_=cast("type[object]", ResponseOutputItem)),
    )


def carries_out(caller: FrameType) -> bool:
    """Whether this is the SDK at work on a call that a model made; not a hook, say."""
    return caller.f_globals.get("__name__") == tool_actions.__name__


async def failure_of(result: RunResultStreaming) -> BaseException | None:
    """What a streamed run whose loop is over ended with, guardrails still at work included."""
    if result._input_guardrails_task is not None:
        await asyncio.wait({result._input_guardrails_task})
    result._check_errors()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    return result._stored_exception
