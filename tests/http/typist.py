"""An agent whose model streams its answer word by word, as fast as a test lets it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from agents import Agent, Model, ModelResponse, Usage
from agents.testing import assistant_message
from openai.types.responses import Response, ResponseCompletedEvent, ResponseTextDeltaEvent

Pace = Callable[[str], Awaitable[None]]
"""Awaited before each word, with all that was said so far."""


async def at_once(_: str) -> None:
    """No pause."""


class Typist(Model):
    """Answers "re: " and the last message, in words."""

    def __init__(self, pace: Pace = at_once) -> None:
        self._pace = pace

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        return ModelResponse([assistant_message(_answer(*args, **options))], Usage(), None)

    async def stream_response(self, *args: Any, **options: Any) -> AsyncIterator[Any]:
        text, said = _answer(*args, **options), ""
        for number, word in enumerate(text.split(" ")):
            await self._pace(said)
            delta = word if number == 0 else f" {word}"
            said += delta
            yield _delta(delta, number)
        await self._pace(said)
        yield _completed(text)


def typist(pace: Pace = at_once, name: str = "typist") -> Agent[Any]:
    return Agent(name=name, model=Typist(pace))


def _answer(_: str | None, given: str | list[Any], *__: Any, **___: Any) -> str:
    last = given if isinstance(given, str) else given[-1]["content"]
    return f"re: {last}"


def _delta(text: str, number: int) -> ResponseTextDeltaEvent:
    return ResponseTextDeltaEvent(
        type="response.output_text.delta",
        item_id="m",
        output_index=0,
        content_index=0,
        delta=text,
        logprobs=[],
        sequence_number=number,
    )


def _completed(text: str) -> ResponseCompletedEvent:
    return ResponseCompletedEvent(
        type="response.completed",
        sequence_number=0,
        response=Response(
            id="r",
            created_at=0,
            model="typist",
            object="response",
            output=[assistant_message(text)],
            parallel_tool_calls=False,
            tool_choice="auto",
            tools=[],
        ),
    )
