"""The Conversations API by OpenAI's own client, and by the SDK's session that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import openai
import pytest
from agents import Agent, OpenAIConversationsSession, Runner

from tests.http.responses.door import Door, door_to, read
from tests.http.responses.writer import call, text, writer
from tests.http.test_chat import Pace
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import Script, says, weather

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def door(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    async with door_to(sessions.worker(), [writer(pace=pace)]) as door:
        yield door


def user(said: str) -> Any:
    return {"type": "message", "role": "user", "content": said}


def texts(items: Any) -> list[str]:
    return [item.content[0].text for item in items]


async def test_a_conversation_has_items_and_metadata(door: Door) -> None:
    empty = await door.conversations.create()
    assert (await door.conversations.items.list(empty.id)).data == []
    made = await door.conversations.create(items=[user("a"), user("b")], metadata={"k": "v"})
    found = await door.conversations.retrieve(made.id)
    assert (found.id, found.object, found.metadata) == (made.id, "conversation", {"k": "v"})
    updated = await door.conversations.update(made.id, metadata={"k": "w"})
    assert updated.metadata == {"k": "w"}
    added = await door.conversations.items.create(made.id, items=[user("c")])
    assert texts(added.data) == ["c"]
    assert texts((await door.conversations.items.list(made.id)).data) == ["c", "b", "a"]
    one = await door.conversations.items.retrieve(added.data[0].id, conversation_id=made.id)  # type: ignore[arg-type]  # items have ids
    assert texts([one]) == ["c"]
    deleted = await door.conversations.delete(made.id)
    assert (deleted.deleted, deleted.object) == (True, "conversation.deleted")
    with pytest.raises(openai.NotFoundError):
        await door.conversations.retrieve(made.id)
    assert [one async for one in door.session.scan()] == [empty.id]


async def test_a_key_creates_one_conversation(door: Door) -> None:
    key: Any = {"extra_headers": {"Idempotency-Key": "k"}}
    given: Any = {"items": [user("a")], "metadata": {"k": "v"}}
    both = await asyncio.gather(*(door.conversations.create(**given, **key) for _ in range(2)))
    made = both[0]
    assert {one.id for one in both} == {made.id}
    await door.conversations.update(made.id, metadata={"k": "w"})
    await door.conversations.items.create(made.id, items=[user("b")])
    again = await door.conversations.create(**given, **key)
    assert (again.id, again.metadata) == (made.id, {"k": "w"})
    assert texts((await door.conversations.items.list(made.id)).data) == ["b", "a"]
    other = await door.conversations.create(extra_headers={"Idempotency-Key": "other"})
    assert other.id != made.id


async def test_items_come_in_pages_and_can_be_removed(door: Door) -> None:
    made = await door.conversations.create(items=[user(str(n)) for n in range(20)])
    await door.conversations.items.create(made.id, items=[user(str(n)) for n in range(20, 30)])
    listed = [item async for item in door.conversations.items.list(made.id, limit=7, order="asc")]
    assert texts(listed) == [str(n) for n in range(30)]
    middle, last = listed[10], listed[-1]
    left = await door.conversations.items.delete(last.id, conversation_id=made.id)  # type: ignore[arg-type]  # items have ids
    assert left.id == made.id
    await door.conversations.items.delete(middle.id, conversation_id=made.id)  # type: ignore[arg-type]  # likewise
    left_items = [item async for item in door.conversations.items.list(made.id, order="asc")]
    assert texts(left_items) == [str(n) for n in range(29) if n != 10]
    with pytest.raises(openai.NotFoundError):
        await door.conversations.items.retrieve("msg_nothing", conversation_id=made.id)


async def test_a_response_belongs_to_its_conversation(door: Door) -> None:
    made = await door.conversations.create(items=[user("first")])
    response = await door.responses.create(model="writer", input="hi", conversation=made.id)
    assert response.conversation is not None
    assert response.conversation.id == made.id
    listed = await door.conversations.items.list(made.id, order="asc")
    assert texts(listed.data) == ["first", "hi", "re: hi"]
    assert listed.data[-1].id == response.output[0].id
    outside = await door.responses.create(
        model="writer", input="aside", previous_response_id=response.id
    )
    assert outside.conversation is None
    assert len((await door.conversations.items.list(made.id)).data) == 3
    assert len((await door.responses.input_items.list(outside.id)).data) == 4


async def test_a_busy_conversation_is_locked(door: Door, pace: Pace) -> None:
    made = await door.conversations.create()
    first = await door.responses.create(
        model="writer", input="a slow one", conversation=made.id, background=True
    )
    await pace.is_slow()
    with pytest.raises(openai.BadRequestError) as locked:
        await door.responses.create(model="writer", input="x", conversation=made.id)
    assert locked.value.code == "conversation_locked"
    with pytest.raises(openai.BadRequestError) as refused:
        await door.conversations.items.create(made.id, items=[user("x")])
    assert refused.value.code == "conversation_locked"
    pace.go.set()
    await door.over(first.id)
    listed = await door.conversations.items.list(made.id, order="asc")
    assert texts(listed.data) == ["a slow one", "re: a slow one"]


async def test_what_is_no_conversation(door: Door) -> None:
    for refused in (
        door.conversations.retrieve("conv_nothing"),
        door.conversations.update("conv_nothing", metadata={}),
        door.conversations.delete("conv_nothing"),
        door.conversations.items.create("conv_nothing", items=[user("x")]),
    ):
        with pytest.raises(openai.NotFoundError, match="not found"):
            await refused
    made = await door.conversations.create()
    for items in ([], [user("x")] * 21, [{"type": "message", "role": "x", "content": "y"}]):
        with pytest.raises(openai.BadRequestError):
            await door.conversations.items.create(made.id, items=items)  # type: ignore[arg-type]  # wrong on purpose


async def test_the_sdk_s_session_keeps_an_agent_s_history_here(door: Door) -> None:
    session = OpenAIConversationsSession(openai_client=door.client)
    script = Script([call("weather")], says("sunny"), says("again"))
    elsewhere = Agent(name="elsewhere", model=script, tools=[weather])
    await Runner.run(elsewhere, "how is it?", session=session)
    result = await Runner.run(elsewhere, "and now?", session=session)
    assert result.final_output == "again"
    assert len(script.asked[-1]) == 5
    items = await session.get_items()
    kinds = [item.get("type") for item in items]
    assert kinds == [
        *("message", "function_call", "function_call_output", "message"),
        *("message", "message"),
    ]
    popped = await session.pop_item()
    assert popped == items[-1]
    assert len(await session.get_items(3)) == 3
    await session.add_items([user(str(n)) for n in range(45)])
    assert len(await session.get_items()) == 50
    await session.clear_session()
    assert [one async for one in door.session.scan()] == []


async def test_a_conversation_of_tools_is_read_as_it_is(sessions: Sessions) -> None:
    agent = writer([call("weather")], [text("sunny")], tools=[weather])
    async with door_to(sessions.worker(), [agent]) as door:
        made = await door.conversations.create()
        stream = await door.responses.create(
            model="writer", input="?", conversation=made.id, stream=True
        )
        response = (await read(stream))[-1].response
        assert [item.type for item in response.output] == ["mcp_call", "message"]
        assert response.output[0].output == "sunny"
        listed = await door.conversations.items.list(made.id, order="asc")
        kinds = [item.type for item in listed.data]
        assert kinds == ["message", "function_call", "function_call_output", "message"]
