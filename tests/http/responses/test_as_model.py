"""An agent elsewhere uses an agent of ours as its model, by the SDK's own classes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from agents import Agent, OpenAIResponsesModel, Runner, function_tool

from tests.http.responses.door import Door, door_to
from tests.http.responses.writer import call, text, writer
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import weather

sessions = new_sessions_of(["memory", "valkey"])


def counted(given: list[Any]) -> list[Any]:
    return [text(f"{len(given)} items")]


@pytest.fixture
async def door(sessions: Sessions) -> AsyncIterator[Door]:
    agents = [
        writer(counted),
        writer([call("weather")], [text("sunny")], name="server_tools", tools=[weather]),
        writer([call("add", '{"a": 2, "b": 3}')], counted, name="client_tools"),
    ]
    async with door_to(sessions.worker(), agents) as door:
        yield door


def elsewhere(door: Door, model: str, **more: Any) -> Agent[Any]:
    return Agent(
        name="elsewhere", model=OpenAIResponsesModel(model, openai_client=door.client), **more
    )


async def test_it_answers_plain_and_streamed(door: Door) -> None:
    agent = elsewhere(door, "writer")
    result = await Runner.run(agent, "hello")
    assert result.final_output == "1 items"
    assert result.context_wrapper.usage.input_tokens == 7
    streamed = Runner.run_streamed(agent, "hello")
    deltas = [
        event.data.delta
        async for event in streamed.stream_events()
        if event.type == "raw_response_event" and event.data.type == "response.output_text.delta"
    ]
    assert "".join(deltas) == streamed.final_output == "1 items"


async def test_it_keeps_the_history_in_a_conversation_or_a_chain(door: Door) -> None:
    agent = elsewhere(door, "writer")
    made = await door.conversations.create()
    for count in (1, 3, 5):
        result = await Runner.run(agent, "hello", conversation_id=made.id)
        assert result.final_output == f"{count} items"
    first = await Runner.run(agent, "hello")
    second = await Runner.run(agent, "more", previous_response_id=first.last_response_id)
    assert second.final_output == "3 items"


async def test_tools_of_the_server_are_not_run_elsewhere(door: Door) -> None:
    result = await Runner.run(elsewhere(door, "server_tools"), "how is it?")
    assert result.final_output == "sunny"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("chained", [False, True])
async def test_tools_of_the_client_are_run_there(door: Door, streamed: bool, chained: bool) -> None:
    ran: list[tuple[int, int]] = []

    @function_tool
    def add(a: int, b: int) -> int:
        ran.append((a, b))
        return a + b

    agent = elsewhere(door, "client_tools", tools=[add])
    options: dict[str, Any] = {}
    if chained:
        options["conversation_id"] = (await door.conversations.create()).id
    else:
        options["auto_previous_response_id"] = True
    if streamed:
        result = Runner.run_streamed(agent, "2 + 3?", **options)
        async for _ in result.stream_events():
            pass
        final = result.final_output
    else:
        final = (await Runner.run(agent, "2 + 3?", **options)).final_output
    assert ran == [(2, 3)]
    assert final == "3 items"
