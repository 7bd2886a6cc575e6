"""Models and chat completions by OpenAI's own client, as chat front ends send them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import openai
import pytest

from tests.http.responses.door import Door, door_to
from tests.http.responses.test_encoder import BEGUN, CALL, COMMITTED, RESET, attempt, call_ended
from tests.http.responses.test_encoder import encoder as response_encoder
from tests.http.responses.test_encoder import said as says
from tests.http.responses.writer import call, text, writer
from tests.http.test_chat import Pace
from tests.integration.approval_lab import Clerk
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http.wires import completions
from turnwise.http.wires.completion_chunks import CompletionEncoder
from turnwise.http.wires.responses.errors import OpenAIError

sessions = new_sessions_of(["memory", "valkey"])


def counted(given: list[Any]) -> list[Any]:
    """Says how many items there were, and the last of them."""
    content = given[-1].get("content", given[-1].get("output"))
    return [text(f"{len(given)}: {content if isinstance(content, str) else content[0]['text']}")]


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def door(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    agents = [
        writer(counted, pace=pace),
        writer([call("add", '{"a": 2}')], name="caller"),
        writer([call("pay")], [text("paid")], name="clerk", tools=Clerk().agent().tools),
    ]
    async with door_to(sessions.worker(), agents) as door:
        yield door


def named(chat: str, message: str) -> dict[str, str]:
    """The headers of Open WebUI."""
    return {"X-OpenWebUI-Chat-Id": chat, "X-OpenWebUI-Message-Id": message}


def user(said: str) -> Any:
    return {"role": "user", "content": said}


async def ask(door: Door, *messages: Any, headers: Any = None, **more: Any) -> Any:
    return await door.client.chat.completions.create(
        **({"model": "writer", "messages": list(messages), "extra_headers": headers} | more)
    )


async def streamed(door: Door, *messages: Any, **more: Any) -> tuple[str, list[Any]]:
    chunks = [chunk async for chunk in await ask(door, *messages, stream=True, **more)]
    deltas = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    return "".join(deltas), chunks


async def stored(door: Door) -> list[str]:
    return [one async for one in door.session.scan()]


async def test_the_agents_are_the_models(door: Door) -> None:
    models = await door.client.models.list()
    assert [model.id for model in models.data] == ["writer", "caller", "clerk"]
    assert (await door.client.models.retrieve("caller")).id == "caller"
    with pytest.raises(openai.NotFoundError):
        await door.client.models.retrieve("nobody")


async def test_a_session_is_given_the_last_message_only(door: Door) -> None:
    first = await ask(door, user("one"), headers=named("c", "m1"))
    assert first.choices[0].message.content == "1: one"
    assert (first.choices[0].finish_reason, first.usage.prompt_tokens) == ("stop", 7)
    wrong = {"role": "assistant", "content": "whatever the client shows"}
    messages = [user("one"), wrong, user("two")]
    said, chunks = await streamed(door, *messages, headers=named("c", "m2"))
    assert said == "3: two"
    assert chunks[-1].choices[0].finish_reason == "stop"
    again, _ = await streamed(door, *messages, headers=named("c", "m2"))
    assert again == said
    assert await stored(door) == ["c"]
    assert len(await door.session.bind("c").get_items()) == 4


async def test_usage_comes_last_in_a_stream_that_asks_for_it(door: Door) -> None:
    options = {"include_usage": True}
    _, chunks = await streamed(door, user("x"), stream_options=options)
    assert (chunks[-1].choices, chunks[-1].usage.total_tokens) == ([], 12)


async def test_side_tasks_enter_no_session(door: Door) -> None:
    await ask(door, user("one"), headers=named("c", "m1"))
    title = "### Task:\nGenerate a title"
    asked: list[tuple[str, Any]] = [
        (title, named("c", "m2")),
        ("Generate a title", named("c", "m1")),
        ("Generate a title", {"X-OpenWebUI-Chat-Id": "c"}),
        ("Generate a title", None),
    ]
    for words, headers in asked:
        answer = await ask(door, user("one"), user(words), headers=headers)
        assert answer.choices[0].message.content == f"2: {words}"
    assert await stored(door) == ["c"]
    assert len(await door.session.bind("c").get_items()) == 2


async def test_a_side_task_in_parts_enters_no_session(door: Door) -> None:
    parts = [{"type": "text", "text": "### Task:\nGenerate a title"}]
    task: Any = {"role": "user", "content": parts}
    answer = await ask(door, user("one"), task, headers=named("c", "m1"))
    assert answer.choices[0].message.content.startswith("2: ")
    assert await stored(door) == []


@pytest.fixture
async def otherwise(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    """A wire with names of its own."""
    wire = partial(
        completions.router,
        session_headers=["X-Chat", "X-Thread"],
        message_headers=["X-Id", "X-Number"],
        side_tasks=["Title:", "Tags:"],
    )
    async with door_to(sessions.worker(), [writer(counted, pace=pace)], wires=[wire]) as door:
        yield door


async def test_a_wire_has_headers_of_its_own(otherwise: Door, pace: Pace) -> None:
    """The first one that a request has counts, and those of other front ends do not."""
    asked: list[tuple[dict[str, str], str]] = [
        ({"X-Thread": "t", "X-Number": "m1"}, "1: one"),
        ({"X-Thread": "t", "X-Number": "m1"}, "1: one"),  # it is the same message
        ({"X-Chat": "c", "X-Thread": "t", "X-Id": "m1", "X-Number": "m2"}, "1: one"),
        ({"X-Thread": "t", "X-Id": "m2", "X-Number": "m1"}, "3: one"),
        (named("d", "m1"), "1: one"),
        ({"X-Thread": "t", "Idempotency-Key": "m3"}, "1: one"),
    ]
    for headers, words in asked:
        answer = await ask(otherwise, user("one"), headers=headers)
        assert answer.choices[0].message.content == words, headers
    assert pace.asked["model"] == len(asked) - 1
    assert sorted(await stored(otherwise)) == ["c", "t"]
    for session_id, turns in (("c", ["m1"]), ("t", ["m1", "m2"])):
        for turn_id in turns:
            assert (await otherwise.session.status(session_id, turn_id)).state == "committed"


async def test_a_wire_has_side_tasks_of_its_own(otherwise: Door) -> None:
    headers = {"X-Chat": "c", "X-Id": "m"}
    for words in ("Title: what is it about?", "Tags: three"):
        answer = await ask(otherwise, user("one"), user(words), headers=headers)
        assert answer.choices[0].message.content == f"2: {words}"
    assert await stored(otherwise) == []
    task = "### Task: a title"
    answer = await ask(otherwise, user("one"), user(task), headers=headers)
    assert answer.choices[0].message.content == f"1: {task}"
    assert await stored(otherwise) == ["c"]


async def test_without_a_session_the_client_s_functions_are_called(door: Door) -> None:
    tools = [{"type": "function", "function": {"name": "add", "parameters": {}}}]
    first = await ask(door, user("2?"), model="caller", tools=tools)
    (asked,) = first.choices[0].message.tool_calls
    assert first.choices[0].finish_reason == "tool_calls"
    assert (asked.function.name, asked.function.arguments) == ("add", '{"a": 2}')
    _, chunks = await streamed(door, user("2?"), model="caller", tools=tools)
    assert chunks[-2].choices[0].delta.tool_calls[0].function.name == "add"
    called = {"role": "assistant", "tool_calls": [asked.model_dump()]}
    output = {"role": "tool", "tool_call_id": asked.id, "content": "5"}
    second = await ask(door, user("2?"), called, output)
    assert second.choices[0].message.content == "3: 5"
    assert await stored(door) == []


async def test_an_agent_that_waits_for_approval_says_so(door: Door) -> None:
    headers = named("c", "m1")
    said, _ = await streamed(door, user("go"), model="clerk", headers=headers)
    assert said == "This waits for approval: pay({})."
    with pytest.raises(openai.BadRequestError, match="waits for approvals"):
        await ask(door, user("well?"), model="clerk", headers=named("c", "m2"))
    (asked,) = await door.session.pending_approvals("c")
    await door.session.decide("c", approve=[asked.id])
    await door.session.receipt("c", "m1").result(30)
    after = await ask(door, user("well?"), model="clerk", headers=named("c", "m2"))
    assert after.choices[0].message.content == "paid"


async def test_what_is_wrong_is_refused(door: Door) -> None:
    refused: list[tuple[Any, Any]] = [
        ([], None),
        ([{"role": "nobody", "content": "x"}], None),
        ([{"role": "user", "content": [{"type": "audio"}]}], None),
        ([user("x"), {"role": "assistant", "content": "y"}], named("c", "m")),
    ]
    for messages, headers in refused:
        with pytest.raises(openai.BadRequestError):
            await ask(door, *messages, headers=headers)
    with pytest.raises(openai.NotFoundError):
        await ask(door, user("x"), model="nobody")
    assert await stored(door) == []


def chunks_of(*events: tuple[str, dict[str, Any]]) -> str:
    made, response = CompletionEncoder("c", 0, "m"), response_encoder()
    wires = [wire for event_id, event in events for wire in response.encode(event_id, event)]
    chunks = [chunk for wire in wires for chunk in made.encode(wire)]
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def test_text_that_is_written_again_alike_is_sent_once() -> None:
    first = attempt(1, CALL, says("all of it", done=False))
    second = attempt(2, CALL, says("all of it", item_id="m2"), call_ended(), COMMITTED)
    assert chunks_of(*first, RESET, *second) == "all of it"


@pytest.mark.parametrize("anew", ["another", "all"])
def test_text_that_is_void_ends_the_stream_with_an_error(anew: str) -> None:
    first = attempt(1, CALL, says("all of them", done=False))
    second = attempt(2, CALL, says(anew, item_id="m2"), call_ended(), COMMITTED)
    assert BEGUN in [event for _, event in first]
    with pytest.raises(OpenAIError, match="anew"):
        chunks_of(*first, RESET, *second)
