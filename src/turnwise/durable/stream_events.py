"""A stored response as the events of a stream. Each text and each call comes in one piece."""

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
from turnwise.durable.responses import unpack_items, unpack_usage
from turnwise.journal_entries import StoredResponse


def response_events(stored: StoredResponse) -> Iterator[TResponseStreamEvent]:
    """The events of a response, in a provider's order."""
    response = _response(stored)
    for number, (kind, fields) in enumerate(_event_fields(response)):
        # Not validated: an item may lack what its class requires, as it came from the provider.
        event = kind.model_construct(sequence_number=number, **fields)
        yield cast(TResponseStreamEvent, event)


EventFields = tuple[type[BaseModel], dict[str, Any]]


def _response(stored: StoredResponse) -> Response:
    response = Response.model_construct(
        id=stored.response_id,
        created_at=0,
        model=stored.model or "",
        object="response",
        output=unpack_items(stored),
        parallel_tool_calls=True,
        status="completed",
        tool_choice="auto",
        tools=[],
    )
    sdk.attach_usage(response, unpack_usage(stored.usage), stored.raw_usage)
    if stored.request_id is not None:
        sdk.set_request_id(response, stored.request_id)
    return response


def _event_fields(response: Response) -> Iterator[EventFields]:
    begun = response.model_copy(update={"output": [], "status": "in_progress", "usage": None})
    yield ResponseCreatedEvent, {"type": "response.created", "response": begun}
    yield ResponseInProgressEvent, {"type": "response.in_progress", "response": begun}
    for index, item in enumerate(response.output):
        at = {"output_index": index}
        added = {"type": "response.output_item.added", "item": _begun(item)}
        yield ResponseOutputItemAddedEvent, added | at
        yield from _content_events(
            item, at | {"item_id": getattr(item, "id", None) or f"item_{index}"}
        )
        yield (
            ResponseOutputItemDoneEvent,
            {"type": "response.output_item.done", "item": item} | at,
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


def _content_events(item: Any, at: dict[str, Any]) -> Iterator[EventFields]:
    if isinstance(item, ResponseOutputMessage):
        for index, part in enumerate(item.content or ()):
            yield from _part(part, at | {"content_index": index})
    elif isinstance(item, ResponseFunctionToolCall):
        yield from _arguments(item, at)
    elif isinstance(item, ResponseCustomToolCall):
        yield from _input(item, at)
    elif isinstance(item, ResponseReasoningItem):
        for index, summary in enumerate(item.summary or ()):
            yield from _summary(summary, at | {"summary_index": index})


def _part(part: Any, at: dict[str, Any]) -> Iterator[EventFields]:
    kind = "response.content_part"
    if isinstance(part, ResponseOutputText):
        empty = part.model_copy(update={"text": "", "annotations": []})
        yield ResponseContentPartAddedEvent, {"type": f"{kind}.added", "part": empty} | at
        yield from _text(part.text or "", part.logprobs or [], at)
    elif isinstance(part, ResponseOutputRefusal):
        blank = part.model_copy(update={"refusal": ""})
        yield ResponseContentPartAddedEvent, {"type": f"{kind}.added", "part": blank} | at
        yield from _refusal(part.refusal, at)
    yield ResponseContentPartDoneEvent, {"type": f"{kind}.done", "part": part} | at


def _text(text: str, logprobs: list[Any], at: dict[str, Any]) -> Iterator[EventFields]:
    kind = "response.output_text"
    more = at | {"logprobs": logprobs}
    yield ResponseTextDeltaEvent, {"type": f"{kind}.delta", "delta": text} | more
    yield ResponseTextDoneEvent, {"type": f"{kind}.done", "text": text} | more


def _refusal(text: str, at: dict[str, Any]) -> Iterator[EventFields]:
    yield ResponseRefusalDeltaEvent, {"type": "response.refusal.delta", "delta": text} | at
    yield ResponseRefusalDoneEvent, {"type": "response.refusal.done", "refusal": text} | at


def _arguments(item: ResponseFunctionToolCall, at: dict[str, Any]) -> Iterator[EventFields]:
    kind, text = "response.function_call_arguments", item.arguments
    yield ResponseFunctionCallArgumentsDeltaEvent, {"type": f"{kind}.delta", "delta": text} | at
    done = {"type": f"{kind}.done", "arguments": text, "name": item.name}
    yield ResponseFunctionCallArgumentsDoneEvent, done | at


def _input(item: ResponseCustomToolCall, at: dict[str, Any]) -> Iterator[EventFields]:
    kind, text = "response.custom_tool_call_input", item.input
    yield ResponseCustomToolCallInputDeltaEvent, {"type": f"{kind}.delta", "delta": text} | at
    yield ResponseCustomToolCallInputDoneEvent, {"type": f"{kind}.done", "input": text} | at


def _summary(summary: Any, at: dict[str, Any]) -> Iterator[EventFields]:
    kind, text = "response.reasoning_summary", summary.text
    empty = summary.model_copy(update={"text": ""})
    yield (
        ResponseReasoningSummaryPartAddedEvent,
        {"type": f"{kind}_part.added", "part": empty} | at,
    )
    yield (
        ResponseReasoningSummaryTextDeltaEvent,
        {"type": f"{kind}_text.delta", "delta": text} | at,
    )
    yield ResponseReasoningSummaryTextDoneEvent, {"type": f"{kind}_text.done", "text": text} | at
    yield (
        ResponseReasoningSummaryPartDoneEvent,
        {"type": f"{kind}_part.done", "part": summary} | at,
    )
