"""A response that was journaled, as the events of a stream: each text and call in one piece."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from agents.items import TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseContentPartAddedEvent,
    ResponseContentPartDoneEvent,
    ResponseCreatedEvent,
    ResponseCustomToolCall,
    ResponseCustomToolCallInputDeltaEvent,
    ResponseCustomToolCallInputDoneEvent,
    ResponseFunctionCallArgumentsDeltaEvent,
    ResponseFunctionCallArgumentsDoneEvent,
    ResponseFunctionToolCall,
    ResponseInProgressEvent,
    ResponseOutputItemAddedEvent,
    ResponseOutputItemDoneEvent,
    ResponseOutputMessage,
    ResponseOutputRefusal,
    ResponseOutputText,
    ResponseReasoningItem,
    ResponseReasoningSummaryPartAddedEvent,
    ResponseReasoningSummaryPartDoneEvent,
    ResponseReasoningSummaryTextDeltaEvent,
    ResponseReasoningSummaryTextDoneEvent,
    ResponseRefusalDeltaEvent,
    ResponseRefusalDoneEvent,
    ResponseTextDeltaEvent,
    ResponseTextDoneEvent,
)
from pydantic import BaseModel

from turnwise.durable import sdk
from turnwise.durable.responses import output_of, usage_of
from turnwise.journal_entries import StoredResponse


def events_of(stored: StoredResponse) -> Iterator[TResponseStreamEvent]:
    """The events of a response, in the order in which a provider sends them."""
    response = _response(stored)
    for number, (kind, fields) in enumerate(_fields(response)):
        # Not checked: an item may lack what its class asks for, as it came from the provider.
        event = kind.model_construct(sequence_number=number, **fields)
        yield cast(TResponseStreamEvent, event)


Fields = tuple[type[BaseModel], dict[str, Any]]


def _response(stored: StoredResponse) -> Response:
    response = Response.model_construct(
        id=stored.response_id,
        created_at=0,
        model=stored.model or "",
        object="response",
        output=output_of(stored),
        parallel_tool_calls=True,
        status="completed",
        tool_choice="auto",
        tools=[],
    )
    sdk.attach_usage(response, usage_of(stored.usage), stored.raw_usage)
    if stored.request_id is not None:
        sdk.set_request_id(response, stored.request_id)
    return response


def _fields(response: Response) -> Iterator[Fields]:
    begun = response.model_copy(update={"output": [], "status": "in_progress", "usage": None})
    yield ResponseCreatedEvent, {"type": "response.created", "response": begun}
    yield ResponseInProgressEvent, {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.output):
        place = {"output_index": index}
        added = {"type": "response.output_item.added", "item": _begun(item)}
        yield ResponseOutputItemAddedEvent, added | place
        yield from _inside(item, place | {"item_id": getattr(item, "id", None) or f"item_{index}"})
        yield (
            ResponseOutputItemDoneEvent,
            {"type": "response.output_item.done", "item": item} | place,
        )
    yield ResponseCompletedEvent, {"type": "response.completed", "response": response}


def _begun(item: Any) -> Any:
    """The item before its content has come."""
    if isinstance(item, ResponseOutputMessage):
        return item.model_copy(update={"content": [], "status": "in_progress"})
    if isinstance(item, ResponseFunctionToolCall):
        return item.model_copy(update={"arguments": "", "status": "in_progress"})
    if isinstance(item, ResponseCustomToolCall):
        return item.model_copy(update={"input": ""})
    if isinstance(item, ResponseReasoningItem):
        return item.model_copy(update={"summary": [], "status": "in_progress"})
    return item


def _inside(item: Any, place: dict[str, Any]) -> Iterator[Fields]:
    if isinstance(item, ResponseOutputMessage):
        for index, part in enumerate(item.content or ()):
            yield from _part(part, place | {"content_index": index})
    elif isinstance(item, ResponseFunctionToolCall):
        yield from _arguments(item, place)
    elif isinstance(item, ResponseCustomToolCall):
        yield from _input(item, place)
    elif isinstance(item, ResponseReasoningItem):
        for index, summary in enumerate(item.summary or ()):
            yield from _summary(summary, place | {"summary_index": index})


def _part(part: Any, place: dict[str, Any]) -> Iterator[Fields]:
    kind = "response.content_part"
    if isinstance(part, ResponseOutputText):
        empty = part.model_copy(update={"text": "", "annotations": []})
        yield ResponseContentPartAddedEvent, {"type": f"{kind}.added", "part": empty} | place
        yield from _text(part.text or "", part.logprobs or [], place)
    elif isinstance(part, ResponseOutputRefusal):
        blank = part.model_copy(update={"refusal": ""})
        yield ResponseContentPartAddedEvent, {"type": f"{kind}.added", "part": blank} | place
        yield from _refusal(part.refusal, place)
    yield ResponseContentPartDoneEvent, {"type": f"{kind}.done", "part": part} | place


def _text(text: str, logprobs: list[Any], place: dict[str, Any]) -> Iterator[Fields]:
    kind = "response.output_text"
    more = place | {"logprobs": logprobs}
    yield ResponseTextDeltaEvent, {"type": f"{kind}.delta", "delta": text} | more
    yield ResponseTextDoneEvent, {"type": f"{kind}.done", "text": text} | more


def _refusal(text: str, place: dict[str, Any]) -> Iterator[Fields]:
    yield ResponseRefusalDeltaEvent, {"type": "response.refusal.delta", "delta": text} | place
    yield ResponseRefusalDoneEvent, {"type": "response.refusal.done", "refusal": text} | place


def _arguments(item: ResponseFunctionToolCall, place: dict[str, Any]) -> Iterator[Fields]:
    kind, text = "response.function_call_arguments", item.arguments
    yield ResponseFunctionCallArgumentsDeltaEvent, {"type": f"{kind}.delta", "delta": text} | place
    done = {"type": f"{kind}.done", "arguments": text, "name": item.name}
    yield ResponseFunctionCallArgumentsDoneEvent, done | place


def _input(item: ResponseCustomToolCall, place: dict[str, Any]) -> Iterator[Fields]:
    kind, text = "response.custom_tool_call_input", item.input
    yield ResponseCustomToolCallInputDeltaEvent, {"type": f"{kind}.delta", "delta": text} | place
    yield ResponseCustomToolCallInputDoneEvent, {"type": f"{kind}.done", "input": text} | place


def _summary(summary: Any, place: dict[str, Any]) -> Iterator[Fields]:
    kind, text = "response.reasoning_summary", summary.text
    empty = summary.model_copy(update={"text": ""})
    yield (
        ResponseReasoningSummaryPartAddedEvent,
        {"type": f"{kind}_part.added", "part": empty} | place,
    )
    yield (
        ResponseReasoningSummaryTextDeltaEvent,
        {"type": f"{kind}_text.delta", "delta": text} | place,
    )
    yield ResponseReasoningSummaryTextDoneEvent, {"type": f"{kind}_text.done", "text": text} | place
    yield (
        ResponseReasoningSummaryPartDoneEvent,
        {"type": f"{kind}_part.done", "part": summary} | place,
    )
