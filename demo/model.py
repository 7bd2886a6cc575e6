"""An agent that answers as recorded, and refuses any other history than the recorded one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from agents import (
    Agent,
    FunctionTool,
    FunctionToolResult,
    Model,
    ModelResponse,
    RunContextWrapper,
    Tool,
    ToolsToFinalOutputResult,
    TResponseInputItem,
    Usage,
)
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.tool_context import ToolContext
from openai.types.responses import (
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from demo.comparison import comparable, difference
from demo.recording import MODEL, Item, RecordedCall, RecordedTurn, Recording
from turnwise import repeatable


class HistoryDiffers(Exception):
    """The model's input is not the recorded history."""


Workload = Callable[[str, RecordedCall], Awaitable[None]]
"""What a call does in the turn of this id, for as long as a real call would take."""


def recorded_agent(recording: Recording, workload: Workload) -> Agent[RecordedTurn]:
    """The airline's agent. Its run context is the turn that it runs."""
    return Agent(
        name="airline",
        instructions=_current_turn_id,
        model=RecordedModel(recording.turns, workload),
        tools=[_recorded_tool(name, workload) for name in recording.tool_names],
        tool_use_behavior=_stop_where_recorded,
    )


class RecordedModel(Model):
    """Stateless. The instructions name the turn, and the input must equal the recording so far.

    The number of items after the last user message says which response comes next.
    """

    def __init__(self, turns: Mapping[str, RecordedTurn], workload: Workload) -> None:
        self._turns = turns
        self._workload = workload

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        *_others: Any,
        **_options: Any,
    ) -> ModelResponse:
        turn = self._turns[str(system_instructions)]
        output_index = _count_after_last_user_message(input)
        _check_history(turn, output_index, input)
        await self._workload(turn.id, RecordedCall(output_index, MODEL))
        output = [_sdk_item(item) for item in turn.response(output_index)]
        return ModelResponse(output=output, usage=Usage(requests=1), response_id=None)

    def stream_response(
        self, *_others: Any, **_options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("the demo does not stream")


def _current_turn_id(run: RunContextWrapper[RecordedTurn], _agent: Agent[RecordedTurn]) -> str:
    return run.context.id


def _count_after_last_user_message(input: str | list[TResponseInputItem]) -> int:
    for count, item in enumerate(reversed(input)):
        if comparable(item).get("role") == "user":
            return count
    return 0


def _check_history(
    turn: RecordedTurn, output_index: int, input: str | list[TResponseInputItem]
) -> None:
    expected = [*turn.history, *turn.items[: output_index + 1]]
    found = difference(expected, input)
    if found is None and not turn.response(output_index):
        found = "the turn has no further model call"
    if found is not None:
        raise HistoryDiffers(f"{turn.id}: the model's input is not the recorded history: {found}")


def _sdk_item(item: Item) -> TResponseOutputItem:
    if item["type"] == "function_call":
        return ResponseFunctionToolCall(
            type="function_call",
            call_id=item["call_id"],
            name=item["name"],
            arguments=item["arguments"],
        )
    text = ResponseOutputText(type="output_text", text=item["content"], annotations=[])
    return ResponseOutputMessage(
        type="message", id="msg_recorded", role="assistant", status="completed", content=[text]
    )


def _recorded_tool(name: str, workload: Workload) -> Tool:
    """Marked repeatable: it only looks up what was recorded.

    So it runs again if a worker dies during the call. Of a tool that is not repeatable, the model
    would learn that the outcome is unknown, and no such output was recorded.
    """

    async def recorded_output(call: ToolContext[RecordedTurn], _arguments: str) -> str:
        turn = call.context
        output_index = turn.output_index_of(call.tool_call_id)
        await workload(turn.id, RecordedCall(output_index, name))
        return str(turn.output[output_index]["output"])

    return repeatable(
        FunctionTool(
            name=name,
            description="Returns what it returned when the conversation was recorded.",
            params_json_schema={"type": "object", "properties": {}},
            on_invoke_tool=recorded_output,
            strict_json_schema=False,
        )
    )


def _stop_where_recorded(
    run: RunContextWrapper[RecordedTurn], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """Some recorded turns end with a tool's output, without a final message of the model."""
    last = run.context.output[-1]
    outputs = [result.run_item for result in results if result.run_item is not None]
    ended = any(comparable(item.to_input_item()) == comparable(last) for item in outputs)
    return ToolsToFinalOutputResult(is_final_output=ended, final_output=last.get("output"))
