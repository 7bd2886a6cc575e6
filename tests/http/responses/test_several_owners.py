"""Each owner has responses and conversations of its own; those of others do not exist."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, cast

import httpx
import openai
import pytest
from fastapi import Request
from openai import AsyncOpenAI

from tests.http.responses.door import read
from tests.http.responses.writer import writer
from tests.integration.background_lab import QUICK
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http import Principal, create_app
from turnwise.worker import Worker

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def by_key(request: Request) -> Principal:
    name = request.headers["authorization"].removeprefix("Bearer ")
    return Principal(name, name)


@pytest.fixture
async def clients(sessions: Sessions) -> AsyncIterator[tuple[AsyncOpenAI, AsyncOpenAI]]:
    session, agents = sessions.worker(), [writer()]
    worker = Worker(session, agents, policy=QUICK)
    app = create_app(session, agents, worker=worker, authenticate=by_key)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(app.router.lifespan_context(app))
        transport = httpx.ASGITransport(app)
        reached = await stack.enter_async_context(httpx.AsyncClient(transport=transport))
        made = [
            AsyncOpenAI(
                base_url="http://test/v1",
                api_key=name,
                http_client=cast(Any, reached),
                max_retries=0,
            )
            for name in ("ada", "bob")
        ]
        yield made[0], made[1]


async def test_a_foreign_response_does_not_exist(
    clients: tuple[AsyncOpenAI, AsyncOpenAI],
) -> None:
    ada, bob = clients
    stream = await ada.responses.create(model="writer", input="mine", background=True, stream=True)
    response_id = (await read(stream))[-1].response.id
    assert (await ada.responses.retrieve(response_id)).output_text == "re: mine"
    for refused in (
        bob.responses.retrieve(response_id),
        bob.responses.retrieve(response_id, stream=True),
        bob.responses.cancel(response_id),
        bob.responses.delete(response_id),
        bob.responses.input_items.list(response_id),
    ):
        with pytest.raises(openai.NotFoundError, match="not found"):
            await refused
    with pytest.raises(openai.BadRequestError) as unknown:
        await bob.responses.create(model="writer", input="x", previous_response_id=response_id)
    assert unknown.value.code == "previous_response_not_found"
    assert (await ada.responses.retrieve(response_id)).output_text == "re: mine"


async def test_a_foreign_conversation_does_not_exist(
    clients: tuple[AsyncOpenAI, AsyncOpenAI],
) -> None:
    ada, bob = clients
    item: Any = {"type": "message", "role": "user", "content": "secret"}
    made = await ada.conversations.create(items=[item], metadata={"k": "v"})
    listed = await ada.conversations.items.list(made.id)
    item_id = str(listed.data[0].id)
    for refused in (
        bob.conversations.retrieve(made.id),
        bob.conversations.update(made.id, metadata={"k": "w"}),
        bob.conversations.delete(made.id),
        bob.conversations.items.list(made.id),
        bob.conversations.items.create(made.id, items=[item]),
        bob.conversations.items.retrieve(item_id, conversation_id=made.id),
        bob.responses.create(model="writer", input="x", conversation=made.id),
    ):
        with pytest.raises(openai.NotFoundError, match="not found"):
            await refused
    assert (await ada.conversations.retrieve(made.id)).metadata == {"k": "v"}


async def test_two_owners_may_use_one_idempotency_key(
    clients: tuple[AsyncOpenAI, AsyncOpenAI],
) -> None:
    answers = [
        await client.responses.create(
            model="writer", input=f"of {client.api_key}", extra_headers={"Idempotency-Key": "k"}
        )
        for client in clients
    ]
    assert [answer.output_text for answer in answers] == ["re: of ada", "re: of bob"]
    assert answers[0].id != answers[1].id
