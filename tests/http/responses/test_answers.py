"""Responses that wait: for decisions on the agent's tools, for outputs of the client's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from openai.types.responses import Response

from tests.http.responses.door import Door, checked, door_to, read
from tests.http.responses.writer import call, text, writer
from tests.integration.approval_lab import Clerk
from tests.integration.stores import Sessions, new_sessions_of

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
ADD: Any = {"type": "function", "name": "add", "parameters": {"type": "object"}, "strict": None}


def shown(given: list[Any]) -> list[Any]:
    """Says what the tools put out."""
    outputs = [str(item["output"]) for item in given if "output" in str(item.get("type"))]
    return [text(", ".join(outputs))]


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
async def door(sessions: Sessions, clerk: Clerk) -> AsyncIterator[Door]:
    asks = [call("look", call_id="c1"), call("pay", call_id="c2"), call("send", call_id="c3")]
    agents = [
        writer(asks, shown, name="clerk", tools=clerk.agent().tools),
        writer([call("add", '{"a": 2}')], shown),
        writer([call("add", call_id="c1"), call("add", call_id="c2")], shown, name="two"),
    ]
    async with door_to(sessions.worker(), agents) as door:
        yield door


def decision(request_id: str, approve: bool, reason: str | None = None) -> Any:
    said = {"type": "mcp_approval_response", "approval_request_id": request_id}
    return said | {"approve": approve} | ({"reason": reason} if reason else {})


def requests(response: Response) -> dict[str, str]:
    """The ids of the approvals that it asks for, by the tools' names."""
    return {item.name: item.id for item in response.output if item.type == "mcp_approval_request"}


async def test_approvals_are_items_of_mcp(door: Door, clerk: Clerk) -> None:
    first = checked(await door.responses.create(model="clerk", input="go"))
    assert [item.type for item in first.output] == [
        *("mcp_call", "mcp_approval_request", "mcp_approval_request"),
    ]
    asked = requests(first)
    assert clerk.ran == {"look": 1}
    answers = [decision(asked["pay"], True), decision(asked["send"], False, "never")]
    second = checked(
        await door.responses.create(model="clerk", input=answers, previous_response_id=first.id)
    )
    assert clerk.ran == {"look": 1, "pay": 1}
    assert second.output_text == "look done, pay done, never"
    calls = {item.name: item for item in second.output if item.type == "mcp_call"}
    assert calls["pay"].approval_request_id == asked["pay"]
    assert calls["pay"].output == "pay done"
    assert (await door.responses.retrieve(first.id)).output == first.output
    assert (await door.responses.retrieve(second.id)).output == second.output
    third = await door.responses.create(
        model="clerk", input="thanks", previous_response_id=second.id
    )
    assert third.status == "completed"


async def test_answers_that_are_sent_again_are_answered_alike(door: Door, clerk: Clerk) -> None:
    first = await door.responses.create(model="clerk", input="go")
    answers = [decision(one, True) for one in requests(first).values()]
    again: Any = {"model": "clerk", "input": answers, "previous_response_id": first.id}
    second = await door.responses.create(**again)
    repeated = await door.responses.create(**again)
    assert (repeated.id, repeated.output) == (second.id, second.output)
    assert clerk.ran["pay"] == 1


async def test_answers_have_to_be_whole_and_alone(door: Door, clerk: Clerk) -> None:
    first = await door.responses.create(model="clerk", input="go")
    pay, send = requests(first).values()
    refused: list[tuple[list[Any], str]] = [
        ([decision(pay, True)], "No approval response found"),
        ([decision(pay, True), decision(send, True), decision("mcpr_x", True)], "mcpr_x"),
        ([decision(pay, True), decision(send, True), {"role": "user", "content": "x"}], "alone"),
        ([{"role": "user", "content": "never mind"}], "No approval response found"),
    ]
    for answers, words in refused:
        with pytest.raises(openai.BadRequestError, match=words):
            await door.responses.create(model="clerk", input=answers, previous_response_id=first.id)
    assert clerk.ran == {"look": 1}


async def test_in_a_conversation_answers_go_to_what_waits(door: Door, clerk: Clerk) -> None:
    made = await door.conversations.create()
    first = await door.responses.create(model="clerk", input="go", conversation=made.id)
    answers = [decision(one, True) for one in requests(first).values()]
    stream = await door.responses.create(
        model="clerk", input=answers, conversation=made.id, stream=True
    )
    last = (await read(stream))[-1].response
    assert last.output_text == "look done, pay done, send done"
    assert last.conversation.id == made.id


async def test_a_function_of_the_client_is_called_there(door: Door) -> None:
    first = checked(await door.responses.create(model="writer", input="2?", tools=[ADD]))
    (asked,) = first.output
    assert asked.type == "function_call"
    assert (asked.name, asked.arguments) == ("add", '{"a": 2}')
    output: Any = {"type": "function_call_output", "call_id": asked.call_id, "output": "5"}
    second = checked(
        await door.responses.create(model="writer", input=[output], previous_response_id=first.id)
    )
    assert second.output_text == "5"
    assert [item.type for item in second.output] == ["message"]
    assert (await door.responses.retrieve(first.id)).output == first.output
    assert (await door.responses.retrieve(second.id)).output == second.output


async def test_functions_of_the_client_stream(door: Door) -> None:
    events = await read(
        await door.responses.create(
            model="two", input="?", tools=[ADD], stream=True, background=True
        )
    )
    kinds = [event.type for event in events if "function_call_arguments" in event.type]
    assert len(kinds) == 4
    first = events[-1].response
    with pytest.raises(openai.BadRequestError, match=r"No tool output found .* c2"):
        await door.responses.create(
            model="two",
            input=[{"type": "function_call_output", "call_id": "c1", "output": "5"}],
            previous_response_id=first.id,
        )
    outputs: list[Any] = [
        {"type": "function_call_output", "call_id": "c1", "output": "5"},
        {
            "type": "function_call_output",
            "call_id": "c2",
            "output": [{"type": "input_text", "text": "6"}],
        },
    ]
    again = await read(
        await door.responses.create(
            *(), model="two", input=outputs, previous_response_id=first.id, stream=True
        )
    )
    assert again[-1].response.output_text == "5, 6"


async def test_what_was_approved_and_fails_is_a_response_that_failed(sessions: Sessions) -> None:
    def breaks(_: Any) -> Any:
        raise RuntimeError("no")

    clerk = Clerk()
    agent = writer([call("pay")], breaks, name="clerk", tools=clerk.agent().tools)
    async with door_to(sessions.worker(), [agent]) as door:
        first = await door.responses.create(model="clerk", input="go")
        answers = [decision(one, True) for one in requests(first).values()]
        second = await door.responses.create(
            model="clerk", input=answers, previous_response_id=first.id
        )
        assert second.status == "failed"
        assert clerk.ran["pay"] == 1
