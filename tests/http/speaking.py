"""A model that says its answers word by word, as providers stream them, and can be halted."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

from agents import Model, ModelResponse, Usage
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseTextDeltaEvent,
)
from openai.types.responses.response_output_text import Annotation, AnnotationURLCitation
from openai.types.responses.response_reasoning_item import Summary

Say = Callable[[list[Any]], list[TResponseOutputItem]]
Halt = Callable[[str], Awaitable[None]]


def text(words: str, number: int = 0, cited: Iterable[str] = ()) -> ResponseOutputMessage:
    """A message of the model, which cites web pages."""
    annotations: list[Annotation] = [
        AnnotationURLCitation(
            type="url_citation", url=url, title=f"on {url}", start_index=0, end_index=len(words)
        )
        for url in cited
    ]
    part = ResponseOutputText(type="output_text", text=words, annotations=annotations, logprobs=[])
    return ResponseOutputMessage(
        id=f"msg_{number}", type="message", role="assistant", status="completed", content=[part]
    )


def call(name: str, call_id: str, **arguments: Any) -> ResponseFunctionToolCall:
    """A call of a tool."""
    return ResponseFunctionToolCall(
        id=f"fc_{call_id}",
        type="function_call",
        name=name,
        call_id=call_id,
        arguments=json.dumps(arguments),
    )


def thought(words: str) -> ResponseReasoningItem:
    """A summary of the model's reasoning."""
    summary = [Summary(type="summary_text", text=words)]
    return ResponseReasoningItem(id="rs_1", type="reasoning", summary=summary)


class Speaker(Model):
    """Says what a rule makes of the conversation; `halt` is awaited before each word."""

    def __init__(self, say: Say, halt: Halt | None = None) -> None:
        self._say = say
        self._halt = halt

    async def get_response(self, *args: Any, **named: Any) -> ModelResponse:
        return ModelResponse(self._say(_given(args, named)), Usage(), response_id="resp_1")

    async def stream_response(
        self, *args: Any, **named: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        for number, event in enumerate(_events(self._say(_given(args, named)))):
            if self._halt is not None and isinstance(event, ResponseTextDeltaEvent):
                await self._halt(event.delta)
            else:
                await asyncio.sleep(0)
            event.sequence_number = number
            yield event


def _given(args: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    given = named["input"] if "input" in named else args[1]
    return [{"role": "user", "content": given}] if isinstance(given, str) else list(given)


def _events(output: list[TResponseOutputItem]) -> Iterator[TResponseStreamEvent]:
    n: Any = {"sequence_number": 0}
    yield ResponseCreatedEvent(type="response.created", response=_response([]), **n)
    for index, item in enumerate(output):
        at: Any = {"output_index": index, **n}
        begun = item.model_copy(update=_nothing_yet(item))
        yield ResponseOutputItemAddedEvent(type="response.output_item.added", item=begun, **at)
        yield from _pieces(item, {**at, "item_id": item.id})
        yield ResponseOutputItemDoneEvent(type="response.output_item.done", item=item, **at)
    yield ResponseCompletedEvent(type="response.completed", response=_response(output), **n)


def _nothing_yet(item: TResponseOutputItem) -> dict[str, Any]:
    if isinstance(item, ResponseOutputMessage):
        return {"content": []}
    if isinstance(item, ResponseFunctionToolCall):
        return {"arguments": ""}
    if isinstance(item, ResponseReasoningItem):
        return {"summary": []}
    return {"status": "in_progress"} | ({"result": None} if hasattr(item, "result") else {})


def _pieces(item: TResponseOutputItem, at: dict[str, Any]) -> Iterator[TResponseStreamEvent]:
    if isinstance(item, ResponseFunctionToolCall):
        for piece in (item.arguments[:1], item.arguments[1:]):
            yield ResponseFunctionCallArgumentsDeltaEvent(
                type="response.function_call_arguments.delta", delta=piece, **at
            )
        yield ResponseFunctionCallArgumentsDoneEvent(
            type="response.function_call_arguments.done", arguments=item.arguments, **at
        )
    elif isinstance(item, ResponseReasoningItem):
        for word in _words(item.summary[0].text):
            yield ResponseReasoningSummaryTextDeltaEvent(
                type="response.reasoning_summary_text.delta", summary_index=0, delta=word, **at
            )
    elif isinstance(item, ResponseOutputMessage):
        part = item.content[0]
        assert isinstance(part, ResponseOutputText)
        at["content_index"] = 0
        empty = part.model_copy(update={"text": "", "annotations": []})
        yield ResponseContentPartAddedEvent(type="response.content_part.added", part=empty, **at)
        for word in _words(part.text):
            yield ResponseTextDeltaEvent(
                type="response.output_text.delta", delta=word, logprobs=[], **at
            )
        yield ResponseContentPartDoneEvent(type="response.content_part.done", part=part, **at)


def _words(text: str) -> list[str]:
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _response(output: list[TResponseOutputItem]) -> Response:
    return Response(
        id="resp_1",
        created_at=0,
        model="speaker",
        object="response",
        output=output,
        parallel_tool_calls=True,
        tool_choice="auto",
        tools=[],
    )
