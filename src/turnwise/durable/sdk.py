"""Every name that Turnwise uses of the Agents SDK and the SDK does not promise to keep.

All other modules use public names only. Each name here has a canary test: after an upgrade of the
SDK, the test that fails says which one has changed.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import FrameType, SimpleNamespace
from typing import Any, cast, get_args

from agents import (
    Agent,
    FunctionTool,
    Handoff,
    ModelResponse,
    RunConfig,
    RunContextWrapper,
    RunItem,
    RunResult,
    RunResultStreaming,
    StreamEvent,
    Usage,
)
from agents.agent_output import AgentOutputSchemaBase
from agents.agent_tool_state import (
    drop_agent_tool_run_result,
    get_agent_tool_state_scope,
)
from agents.exceptions import (
    _is_error_data_redacted,
    _mark_error_to_drain_stream_events,
)
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
from agents.tracing import FunctionSpanData, get_current_span
from agents.usage import (
    _attach_normalized_usage,
    _attach_raw_usage_snapshot,
    _extract_raw_usage_snapshot,
    _requests_for_response_without_usage,
    _response_usage_to_usage,
)
from openai._models import construct_type
from openai.types.responses import Response, ResponseOutputItem, ResponseUsage

from turnwise.observe.names import CALL_ID

__all__ = ["AgentRunner", "get_default_agent_runner", "set_default_agent_runner"]
"""The names that other modules use as they are."""

# Runs.


def normalize_config(config: RunConfig | dict[str, Any] | None) -> tuple[RunConfig, bool]:
    """The run config as the SDK completes it, and whether the run must close its model provider."""
    return _normalize_run_config_for_runner(config)


async def close_provider(provider: ModelProvider) -> None:
    await _close_runner_owned_model_provider(provider)


def close_when_over(result: RunResultStreaming, provider: ModelProvider) -> None:
    """Close the provider at the end of the streamed run."""
    result._ensure_model_provider_cleanup_on_completion(lambda: close_provider(provider))


def completed_result(
    *,
    input: list[Any],
    new_items: list[RunItem],
    raw_responses: list[ModelResponse],
    final_output: Any,
    context_wrapper: RunContextWrapper[Any],
    last_agent: Agent[Any],
    max_turns: int | None,
) -> RunResult:
    """A result of a run that is over; its guardrail results are empty."""
    return RunResult(
        input=input,
        new_items=new_items,
        raw_responses=raw_responses,
        final_output=final_output,
        input_guardrail_results=[],
        output_guardrail_results=[],
        tool_input_guardrail_results=[],
        tool_output_guardrail_results=[],
        context_wrapper=context_wrapper,
        _last_agent=last_agent,
        _current_turn=len(raw_responses),
        max_turns=max_turns,
    )


# Streamed runs.


async def failure_of(result: RunResultStreaming) -> BaseException | None:
    """What the run ended with. Its loop is over; guardrails that are still at work are awaited."""
    if result._input_guardrails_task is not None:
        await asyncio.wait({result._input_guardrails_task})
    result._check_errors()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
    return result._stored_exception


class StreamToTheEnd(RunResultStreaming):
    """A result whose stream gives what the run emitted before its error, to a slow reader too.

    The SDK drops what its reader has not taken when the run's loop fails. Guardrails still end a
    stream at once.
    """

    def _check_errors(self) -> None:
        super()._check_errors()  # type: ignore[no-untyped-call]  # the SDK leaves it untyped
        task, error = self.run_loop_task, self._stored_exception
        if error is None or task is None or not task.done() or task.cancelled():
            return
        if error is task.exception():
            with suppress(AttributeError):  # an error that cannot be changed
                _mark_error_to_drain_stream_events(error)


def forget_redacted(error: BaseException) -> None:
    """Take the context from an error that the SDK redacts, as its own runs do."""
    if _is_error_data_redacted(error):
        error.__context__ = None


def tap_events(result: RunResultStreaming, tap: Callable[[StreamEvent], object]) -> None:
    """Call `tap` with each event when the run makes it, read or not. Call before the run starts."""
    result._event_queue = _TappedQueue(tap)


class _TappedQueue(asyncio.Queue[Any]):
    def __init__(self, tap: Callable[[StreamEvent], object]) -> None:
        super().__init__()
        self._tap = tap

    def put_nowait(self, item: Any) -> None:
        if isinstance(item, get_args(StreamEvent)):
            self._tap(item)
        super().put_nowait(item)


# Agents and their tools.


def target_of(handoff: Handoff[Any, Any]) -> Agent[Any] | None:
    """The agent to which a handoff leads; None if only the handoff itself knows."""
    reference = handoff._agent_ref
    agent = None if reference is None else reference()
    return agent if isinstance(agent, Agent) else None


def output_schema_of(agent: Agent[Any]) -> AgentOutputSchemaBase | None:
    return get_output_schema(agent)


def described(agent: Agent[Any], call: Any) -> dict[str, Any]:
    """What a ToolCallItem has beside the call, by the agent's tools."""
    for tool in agent.tools:
        if isinstance(tool, FunctionTool) and tool.name == getattr(call, "name", None):
            origin = get_function_tool_origin(tool)
            return {
                "description": tool.description,
                "title": tool._mcp_title,
                "tool_origin": origin,
            }
    return {}


FunctionToolInvoker = _FailureHandlingFunctionToolInvoker
"""The invoker of a decorated function, of an agent as a tool, and of an MCP server's tool."""


class RebindingInvoker(ABC):
    """An invoker that the SDK asks for another one when it copies the tool."""

    @abstractmethod
    def bound_to(self, tool: FunctionTool) -> Any:
        """The invoker of the copy `tool`."""

    def __agents_bind_function_tool__(self, tool: FunctionTool) -> Any:
        return self.bound_to(tool)


def is_agent_tool(tool: object) -> bool:
    """Whether the tool is an agent, as `Agent.as_tool` makes it."""
    return isinstance(tool, FunctionTool) and tool._is_agent_tool


def forget_interrupted_run(call: Any, context: object) -> None:
    """Drop the interrupted run that the SDK keeps for this call of an agent as a tool."""
    if call is not None:
        drop_agent_tool_run_result(call, scope_id=get_agent_tool_state_scope(context))


def output_schema(tool: FunctionTool) -> dict[str, Any]:
    """The tool's output type, if it has one: how its output becomes the text for the model."""
    return {
        "output_json_schema": tool.output_json_schema,
        "output_type_adapter": tool._output_type_adapter,
    }


def runs_in_thread(tool: object) -> bool:
    """Whether the tool is a function that is not async. A call of it cannot be cancelled."""
    invoker = getattr(tool, "on_invoke_tool", None)
    return bool(getattr(invoker, _SYNC_FUNCTION_TOOL_MARKER, False))


def tool_of(invoker: _FailureHandlingFunctionToolInvoker) -> FunctionTool:
    """The tool whose invoker this is."""
    tool = invoker._function_tool
    assert tool is not None
    return tool


def invoke_context(invoker: Callable[..., Any], context: ToolContext[Any]) -> Any:
    """The context in the class that a hand-written invoker's annotation asks for."""
    return _get_function_tool_invoke_context(
        cast(FunctionTool, SimpleNamespace(on_invoke_tool=invoker)), context
    )


def is_error_text(context: object) -> bool:
    """Whether the tool's output is the SDK's text about an error: no output type applies to it."""
    return bool(getattr(context, _DEFAULT_FAILURE_HANDLED_ATTR, False))


def mark_error_text(context: object) -> None:
    if context is not None:
        setattr(context, _DEFAULT_FAILURE_HANDLED_ATTR, True)


def is_tool_execution(caller: FrameType) -> bool:
    """Whether the caller is the SDK as it executes a model's call; not a hook, say."""
    return caller.f_globals.get("__name__") == tool_actions.__name__


def name_call(call_id: str) -> None:
    """Leave the call's id in the current span of a tool, which has no place of its own for it."""
    span = get_current_span()
    if span is not None and isinstance(span.span_data, FunctionSpanData):
        setattr(span.span_data, CALL_ID, call_id)


# Responses and items.


def item_events(items: Sequence[RunItem]) -> list[StreamEvent]:
    """The events that a stream gives for new items."""
    queue: asyncio.Queue[Any] = asyncio.Queue()
    stream_step_items_to_queue(list(items), queue)
    return [queue.get_nowait() for _ in range(queue.qsize())]


def output_item(value: Mapping[str, Any]) -> ResponseOutputItem:
    """An output item of a model from its JSON, of the type that its `type` names, unchecked."""
    return cast(
        ResponseOutputItem,
        construct_type(value=dict(value), type_=cast("type[object]", ResponseOutputItem)),
    )


def usage_in(response: Response) -> Usage:
    """The usage of a streamed response, as the SDK's run loop counts it."""
    if response.usage:
        return _response_usage_to_usage(response.usage)
    return Usage(requests=_requests_for_response_without_usage(response))


def raw_usage_in(response: Response) -> dict[str, Any] | None:
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


def request_id_in(response: Response) -> str | None:
    return getattr(response, "_request_id", None)


def set_request_id(response: Response, request_id: str) -> None:
    response._request_id = request_id
