"""A model for use without an API key: a rule reads the conversation and answers."""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from agents import (
    AgentOutputSchemaBase,
    Handoff,
    Model,
    ModelResponse,
    ModelSettings,
    ModelTracing,
    Tool,
    TResponseInputItem,
    Usage,
    generation_span,
)
from agents.items import TResponseOutputItem, TResponseStreamEvent
from openai.types.responses import (
    Response,
    ResponseCompletedEvent,
    ResponseFunctionToolCall,
    ResponseOutputMessage,
    ResponseOutputText,
    ResponseTextDeltaEvent,
)

Item = dict[str, Any]


@dataclass(frozen=True)
class Call:
    """A tool call, or a handoff, of the model."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True)
class ConversationView:
    """The conversation as a rule sees it: items of the Responses API, oldest first."""

    items: list[Item]

    @property
    def user_messages(self) -> list[str]:
        """The texts of the user in all turns."""
        return [text_of(item) for item in self.items if item.get("role") == "user"]

    @property
    def current_turn(self) -> list[Item]:
        """The items from the last user message on."""
        starts = [n for n, item in enumerate(self.items) if item.get("role") == "user"]
        return self.items[starts[-1] :] if starts else self.items

    def calls(self, name: str) -> list[dict[str, Any]]:
        """The arguments of each call of this tool in the current turn."""
        return [json.loads(call["arguments"]) for call in self._calls(name)]

    def outputs(self, name: str) -> list[str]:
        """The outputs of each call of this tool in the current turn."""
        ids = {call["call_id"] for call in self._calls(name)}
        return [str(item["output"]) for item in self.current_turn if _is_output(item, ids)]

    def _calls(self, name: str) -> Iterator[Item]:
        return (
            item
            for item in self.current_turn
            if item.get("type") == "function_call" and item["name"] == name
        )


Rule = Callable[[ConversationView], str | list[Call]]


def model(rule: Rule) -> Model | None:
    """The rule as a model; None, the SDK's default model, if OPENAI_API_KEY is set."""
    return None if os.environ.get("OPENAI_API_KEY") else OfflineModel(rule)


def converse(conversation: ConversationView) -> str:
    """A rule whose answers show that it has the history."""
    *before, last = conversation.user_messages
    remembered = f"Before that you said: {before[-1]!r}." if before else "We have just met."
    return f"Message {len(before) + 1} of our conversation is {last!r}. {remembered}"


class OfflineModel(Model):
    """Gives the answers of a rule, after a delay of OFFLINE_MODEL_SECONDS (0).

    It is deterministic: the same conversation gets the same answer and the same call ids.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    async def get_response(
        self,
        system_instructions: str | None,
        input: str | list[TResponseInputItem],
        model_settings: ModelSettings,
        tools: list[Tool],
        output_schema: AgentOutputSchemaBase | None,
        handoffs: list[Handoff[Any, Any]],
        tracing: ModelTracing,
        **_: Any,
    ) -> ModelResponse:
        with generation_span(model="offline", disabled=tracing.is_disabled()) as span:
            await asyncio.sleep(float(os.environ.get("OFFLINE_MODEL_SECONDS", "0")))
            conversation = ConversationView(_items(input))
            digest = sha256(
                json.dumps([system_instructions, conversation.items]).encode()
            ).hexdigest()
            output = list(_output(self._rule(conversation), digest[:16]))
            usage = _usage(conversation.items, output)
            span.span_data.usage = {
                "input_tokens": usage.input_tokens,
                "output_tokens": usage.output_tokens,
            }
        return ModelResponse(output, usage, response_id=None)

    async def stream_response(
        self, *arguments: Any, **named: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        response = await self.get_response(*arguments, **named)
        number = 0
        for item in response.output:
            if isinstance(item, ResponseOutputMessage):
                for word in re.findall(r" ?[^ ]+| ", text_of(item.model_dump())):
                    yield _delta(item.id, word, number)
                    number += 1
        yield ResponseCompletedEvent(
            type="response.completed",
            sequence_number=number,
            response=Response(
                id="offline",
                created_at=0,
                model="offline",
                object="response",
                output=response.output,
                parallel_tool_calls=False,
                tool_choice="auto",
                tools=[],
            ),
        )


def text_of(item: Item) -> str:
    """The text of a message item."""
    content = item["content"]
    if isinstance(content, str):
        return content
    return "".join(part.get("text", "") for part in content)


def _is_output(item: Item, call_ids: set[str]) -> bool:
    return item.get("type") == "function_call_output" and item["call_id"] in call_ids


def _items(given: str | list[TResponseInputItem]) -> list[Item]:
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    return [dict(item) for item in given]


def _output(answer: str | list[Call], digest: str) -> Iterator[TResponseOutputItem]:
    if isinstance(answer, str):
        yield ResponseOutputMessage(
            id=f"msg_{digest}",
            type="message",
            role="assistant",
            status="completed",
            content=[ResponseOutputText(type="output_text", text=answer, annotations=[])],
        )
        return
    for number, call in enumerate(answer):
        yield ResponseFunctionToolCall(
            type="function_call",
            call_id=f"call_{digest}_{number}",
            name=call.name,
            arguments=json.dumps(call.arguments),
        )


def _usage(read: list[Item], written: Sequence[TResponseOutputItem]) -> Usage:
    """Estimated: a token is about four characters."""
    tokens_in = len(json.dumps(read)) // 4
    tokens_out = sum(len(item.model_dump_json()) for item in written) // 4
    return Usage(1, tokens_in, output_tokens=tokens_out, total_tokens=tokens_in + tokens_out)


def _delta(item_id: str, text: str, number: int) -> ResponseTextDeltaEvent:
    return ResponseTextDeltaEvent(
        type="response.output_text.delta",
        item_id=item_id,
        output_index=0,
        content_index=0,
        delta=text,
        logprobs=[],
        sequence_number=number,
    )
