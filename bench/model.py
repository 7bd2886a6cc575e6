"""A model that answers at once: so many steps that call tools, then a text."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
)

from bench.history import Histories

Events = AsyncIterator[TResponseStreamEvent]


class InstantModel(Model):
    """In each turn `steps` times `width` calls of `tool`, then always the same answer.

    It keeps nothing and copies nothing: where a turn stands it sees by its input. `asked` is
    called at each call of it.
    """

    def __init__(
        self,
        steps: int = 0,
        width: int = 1,
        tool: str = "",
        asked: Callable[[], None] | None = None,
    ) -> None:
        self._steps, self._width, self._tool = steps, width, tool
        self._asked = asked
        self._ids = count()
        [_, answer] = Histories().items(2)
        text: Any = answer["content"]  # type: ignore[typeddict-item]  # an answer has one
        part = ResponseOutputText(text=text[0]["text"], type="output_text", annotations=[])
        self._answer = ResponseOutputMessage(
            id="msg_1", content=[part], role="assistant", status="completed", type="message"
        )

    async def get_response(
        self, system_instructions: Any, input: Any, *_: Any, **_options: Any
    ) -> ModelResponse:
        return ModelResponse(output=self._output(input), usage=Usage(requests=1), response_id=None)

    async def stream_response(
        self, system_instructions: Any, input: Any, *_: Any, **_options: Any
    ) -> Events:
        response = Response(
            id="resp_1",
            created_at=0,
            model="instant",
            object="response",
            output=self._output(input),
            parallel_tool_calls=True,
            tool_choice="auto",
            tools=[],
        )
        yield ResponseCompletedEvent(
            response=response, sequence_number=0, type="response.completed"
        )

    def _output(self, input: Any) -> list[Any]:
        if self._asked is not None:
            self._asked()
        if not self._steps or _answered(input) >= self._steps * self._width:
            return [self._answer]
        return [self._call() for _ in range(self._width)]

    def _call(self) -> ResponseFunctionToolCall:
        call_id = f"call_{next(self._ids)}"
        return ResponseFunctionToolCall(
            arguments="{}", call_id=call_id, name=self._tool, type="function_call"
        )


def _answered(input: Any) -> int:
    """How many calls of this turn have their outputs."""
    found = 0
    for item in reversed(input if isinstance(input, list) else []):
        if item.get("role") == "user":
            break
        found += item.get("type") == "function_call_output"
    return found
