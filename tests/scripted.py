"""Agents whose model answers at once as a script says, and what it was asked."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from copy import deepcopy
from inspect import isawaitable
from typing import Any

import agents
from agents import Agent, Model, ModelResponse, Usage, function_tool
from agents.items import TResponseOutputItem, TResponseStreamEvent
from agents.testing import assistant_message, function_call
from openai.types.responses import Response, ResponseCompletedEvent

agents.set_tracing_disabled(True)  # there is nobody to send traces to

Output = Sequence[TResponseOutputItem]
Reply = Output | Exception | Callable[[list[Any]], Output | Awaitable[Output]]


def says(text: str) -> Output:
    return [assistant_message(text)]


def calls(name: str, call_id: str = "call_1", arguments: str = "{}") -> Output:
    return [function_call(name, arguments, call_id=call_id)]


class Script(Model):
    """A model that gives one reply after the other, the last one again and again.

    `asked` is what it was given, per call. Much quicker than the SDK's ScriptedModel.
    """

    def __init__(self, *replies: Reply) -> None:
        self.asked: list[list[Any]] = []
        self._replies = list(replies)

    async def get_response(self, *args: Any, **options: Any) -> ModelResponse:
        output = list(await self._reply(self._given(*args, **options)))
        return ModelResponse(output=output, usage=Usage(), response_id="r")

    async def stream_response(
        self, *args: Any, **options: Any
    ) -> AsyncIterator[TResponseStreamEvent]:
        output = list(await self._reply(self._given(*args, **options)))
        yield ResponseCompletedEvent(
            type="response.completed",
            sequence_number=0,
            response=Response(
                id="r",
                created_at=0,
                model="script",
                object="response",
                output=output,
                parallel_tool_calls=False,
                tool_choice="auto",
                tools=[],
            ),
        )

    def given(self, prompt: str | None, input: str | list[Any]) -> list[Any]:
        """The items that a call was given."""
        return [input] if isinstance(input, str) else input

    def _given(
        self, system_instructions: str | None, input: str | list[Any], *_: Any, **__: Any
    ) -> list[Any]:
        return self.given(system_instructions, input)

    async def _reply(self, given: list[Any]) -> Output:
        self.asked.append(deepcopy(given))
        reply = self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]
        if isinstance(reply, Exception):
            raise reply
        if not callable(reply):
            return reply
        output = reply(given)
        return await output if isawaitable(output) else output


def echo(given: list[Any]) -> Output:
    """Say how many items there were."""
    return says(f"{len(given)} items")


def agent(*replies: Reply, **settings: Any) -> Agent[Any]:
    return Agent(name="agent", model=Script(*(replies or (echo,))), **settings)


@function_tool
def weather() -> str:
    return "sunny"


@function_tool(failure_error_function=None)
def broken() -> str:
    raise OSError("the tool broke")


def script_of(agent: Agent[Any]) -> Script:
    assert isinstance(agent.model, Script)
    return agent.model


def outline(items: Sequence[Any]) -> list[str]:
    """Each item in a word or two."""
    return [_outlined(item) for item in items]


def _outlined(item: Any) -> str:
    kind = item.get("type", "message")
    if kind == "function_call":
        return f"call {item['call_id']}"
    if kind == "function_call_output":
        return f"output {item['call_id']}: {item['output']}"
    if kind != "message":
        return str(kind)
    content = item["content"]
    return str(content if isinstance(content, str) else content[0]["text"])
