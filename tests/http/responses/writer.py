"""A model that streams as a provider does: item by item, word by word, as a script says."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

from agents import Agent, Model, ModelResponse, Usage
from agents.testing import assistant_message, function_call
from openai.types.responses import Response, ResponseStreamEvent, ResponseUsage
from openai.types.responses.response_reasoning_item import ResponseReasoningItem, Summary
from openai.types.responses.response_usage import InputTokensDetails, OutputTokensDetails
from pydantic import TypeAdapter

from tests.http.typist import Pace, at_once

Reply = Callable[[list[Any]], list[Any]] | list[Any]
_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
USAGE = ResponseUsage(
    input_tokens=7,
    input_tokens_details=InputTokensDetails(cached_tokens=2, cache_write_tokens=0),
    output_tokens=5,
    output_tokens_details=OutputTokensDetails(reasoning_tokens=1),
    total_tokens=12,
)


def text(said: str) -> Any:
    return assistant_message(said)


def call(name: str, arguments: str = "{}", call_id: str = "call_1") -> Any:
    return function_call(name, arguments, call_id=call_id)


def thought(said: str) -> Any:
    summary = [Summary(type="summary_text", text=said)]
    return ResponseReasoningItem(id="rs_1", type="reasoning", summary=summary)


def repeat(given: list[Any]) -> list[Any]:
    """Answers "re: " and the last message."""
    content = given[-1]["content"]
    return [text(f"re: {content if isinstance(content, str) else content[0]['text']}")]


class Writer(Model):
    """Gives one reply after the other, the last one again and again; each with `USAGE`.

    Each item of each call has an id of its own, unless `ids` is false: then they have the one that
    the SDK's models for other APIs give.
    """

    def __init__(self, *replies: Reply, pace: Pace = at_once, ids: bool = True) -> None:
        self.asked: list[list[Any]] = []
        self._replies = list(replies) or [repeat]
        self._pace = pace
        self._ids = ids

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        usage = Usage(requests=1, input_tokens=7, output_tokens=5, total_tokens=12)
        return ModelResponse(self._output(*args, **options), usage, None)

    async def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        output = self._output(*args, **options)
        response = _response(output)
        begun = response.model_copy(update={"output": [], "usage": None, "status": "in_progress"})
        yield _event(type="response.created", response=begun)
        said = ""
        await self._pace(said)
        for index, item in enumerate(output):
            for fields in _item_events(item.model_dump(exclude_none=True)):
                yield _event(output_index=index, **fields)
                if fields["type"] == "response.output_text.delta":
                    said += fields["delta"]
                    await self._pace(said)
        yield _event(type="response.completed", response=response)

    def _output(self, _: str | None, given: str | list[Any], *__: Any, **___: Any) -> list[Any]:
        items = [{"content": given}] if isinstance(given, str) else given
        self.asked.append([dict(item) for item in items])
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        output = reply(items) if callable(reply) else reply
        number = len(self.asked)
        return [
            item.model_copy(update={"id": f"{item.type}_{number}_{index}_{id(self)}"})
            if self._ids
            else item.model_copy(update={"id": "__fake_id__"})
            for index, item in enumerate(output)
        ]


def writer(
    *replies: Reply,
    pace: Pace = at_once,
    ids: bool = True,
    name: str = "writer",
    tools: Sequence[Any] = (),
) -> Agent[Any]:
    return Agent(name=name, model=Writer(*replies, pace=pace, ids=ids), tools=list(tools))


def _response(output: list[Any]) -> Response:
    return Response(
        id="provider",
        created_at=0,
        model="writer",
        object="response",
        output=output,
        parallel_tool_calls=False,
        tool_choice="auto",
        tools=[],
        usage=USAGE,
        status="completed",
    )


def _item_events(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What a provider's stream says of an item."""
    where = {"item_id": item["id"]}
    kind = item["type"]
    if kind == "message":
        part = item["content"][0]
        at = where | {"content_index": 0}
        none: dict[str, Any] = {"logprobs": []}
        yield {"type": "response.output_item.added", "item": item | {"content": []}}
        yield {"type": "response.content_part.added", "part": part | {"text": ""}} | at
        for number, word in enumerate(part["text"].split(" ")):
            delta = word if number == 0 else f" {word}"
            yield {"type": "response.output_text.delta", "delta": delta} | at | none
        yield {"type": "response.output_text.done", "text": part["text"]} | at | none
        yield {"type": "response.content_part.done", "part": part} | at
    elif kind == "function_call":
        name, arguments = item["name"], item["arguments"]
        yield {"type": "response.output_item.added", "item": item | {"arguments": ""}}
        event = "response.function_call_arguments"
        yield {"type": f"{event}.delta", "delta": arguments} | where
        yield {"type": f"{event}.done", "arguments": arguments, "name": name} | where
    else:
        yield {"type": "response.output_item.added", "item": item}
    yield {"type": "response.output_item.done", "item": item}


def _event(**fields: Any) -> Any:
    return _EVENT.validate_python({"sequence_number": 0} | fields)
