"""An agent that does what was recorded, and refuses to go on from any other history."""

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

from demo.comparison import difference, essence
from demo.recording import MODEL, Item, RecordedCall, RecordedTurn, Recording
from turnwise import repeatable


class HistoryDiffers(Exception):
    """The model was given another history than the recorded one."""


Work = Callable[[str, RecordedCall], Awaitable[None]]
"""What a call of the model or of a tool, in the turn of this id, spends its time with."""


def recorded_agent(recording: Recording, work: Work) -> Agent[RecordedTurn]:
    """The airline's agent. Its run context is the turn to serve."""
    return Agent(
        name="airline",
        instructions=_turn_in_hand,
        model=RecordedModel(recording.turns, work),
        tools=[_recorded_tool(name, work) for name in recording.tool_names()],
        tool_use_behavior=_end_where_recorded,
    )


class RecordedModel(Model):
    """Answers from what it is given alone: the instructions name the turn, the input is compared
    with the recording, and the number of items behind the last user message tells how far the
    turn has got."""

    def __init__(self, turns: Mapping[str, RecordedTurn], work: Work) -> None:
        self._turns = turns
        self._work = work

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        *_others: Any,
        **_options: Any,
    ) -> ModelResponse:
        turn = self._turns[str(system_instructions)]
        done = _behind_last_user_message(input)
        _check(turn, done, input)
        await self._work(turn.id, RecordedCall(done, MODEL))
        output = [_sdk_item(item) for item in turn.step(done)]
        return ModelResponse(output=output, usage=Usage(requests=1), response_id=None)

    def stream_response(
        self, *_others: Any, **_options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        raise NotImplementedError("the demo does not stream")


def _turn_in_hand(run: RunContextWrapper[RecordedTurn], _agent: Agent[RecordedTurn]) -> str:
    return run.context.id


def _behind_last_user_message(input: str | list[TResponseInputItem]) -> int:
    for count, item in enumerate(reversed(input)):
        if essence(item).get("role") == "user":
            return count
    return 0


def _check(turn: RecordedTurn, done: int, input: str | list[TResponseInputItem]) -> None:
    expected = [*turn.history, *turn.items[: done + 1]]
    found = difference(expected, input)
    if found is None and not turn.step(done):
        found = "the turn was over, and the model was called again"
    if found is not None:
        raise HistoryDiffers(f"{turn.id}: the model was not given the recorded history: {found}")


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


def _recorded_tool(name: str, work: Work) -> Tool:
    """Repeatable, as it only looks up what was recorded.

    If a worker dies in it, the one that takes the turn over runs it again. Of another tool the
    model would be told that the outcome is unknown, and that was never recorded.
    """

    async def recorded_output(call: ToolContext[RecordedTurn], _arguments: str) -> str:
        turn = call.context
        place = turn.place_of(call.tool_call_id)
        await work(turn.id, RecordedCall(place, name))
        return str(turn.output[place]["output"])

    return repeatable(
        FunctionTool(
            name=name,
            description="Returns what it returned when the conversation was recorded.",
            params_json_schema={"type": "object", "properties": {}},
            on_invoke_tool=recorded_output,
            strict_json_schema=False,
        )
    )


def _end_where_recorded(
    run: RunContextWrapper[RecordedTurn], results: list[FunctionToolResult]
) -> ToolsToFinalOutputResult:
    """Some recorded turns end with a tool's output, without a word of the model after it."""
    last = run.context.output[-1]
    outputs = [result.run_item for result in results if result.run_item is not None]
    ended = any(essence(item.to_input_item()) == essence(last) for item in outputs)
    return ToolsToFinalOutputResult(is_final_output=ended, final_output=last.get("output"))
