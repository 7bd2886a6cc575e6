"""A model that answers at once: a number of responses that call tools, then a text."""

from __future__ import annotations

import asyncio
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
    ResponseTextDeltaEvent,
)

from bench.history import HistoryGenerator

Events = AsyncIterator[TResponseStreamEvent]


class InstantModel(Model):
    """In each turn: `steps` responses with `width` calls of `tool` each, then a fixed answer.

    It is stateless: it finds the current step in its input. Each call of it calls `on_call`.
    """

    def __init__(
        self,
        steps: int = 0,
        width: int = 1,
        tool: str = "",
        on_call: Callable[[], None] | None = None,
    ) -> None:
        self._steps, self._width, self._tool = steps, width, tool
        self._on_call = on_call
        self._ids = count()
        [_, answer] = HistoryGenerator().items(2)
        text: Any = answer["content"]  # type: ignore[typeddict-item]  # an answer has content
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
        if self._on_call is not None:
            self._on_call()
        if not self._steps or _tool_outputs(input) >= self._steps * self._width:
            return [self._answer]
        return [self._call() for _ in range(self._width)]

    def _call(self) -> ResponseFunctionToolCall:
        call_id = f"call_{next(self._ids)}"
        return ResponseFunctionToolCall(
            arguments="{}", call_id=call_id, name=self._tool, type="function_call"
        )


class TypingModel(InstantModel):
    """It answers at once, too; a stream gets the text in `tokens` pieces first."""

    def __init__(self, tokens: int) -> None:
        super().__init__()
        self._tokens = tokens

    async def stream_response(
        self, system_instructions: Any, input: Any, *_: Any, **_options: Any
    ) -> Events:
        for number in range(self._tokens):
            await self._pause(input)
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta",
                delta=f"word {number} ",
                item_id="msg_1",
                content_index=0,
                output_index=0,
                sequence_number=number,
                logprobs=[],
            )
        async for event in super().stream_response(system_instructions, input):
            yield event

    async def _pause(self, input: Any) -> None:
        """Before each piece."""


class SteadyModel(TypingModel):
    """It waits before each piece, for as many seconds as the message says."""

    async def _pause(self, input: Any) -> None:
        await asyncio.sleep(float(input[-1]["content"]))


def _tool_outputs(input: Any) -> int:
    """How many tool outputs this turn has so far."""
    found = 0
    for item in reversed(input if isinstance(input, list) else []):
        if item.get("role") == "user":
            break
        found += item.get("type") == "function_call_output"
    return found
