"""A replica dies while it writes: another goes on, and no void text stands as true."""

from __future__ import annotations

from typing import Any

from openai import AsyncOpenAI

from tests.http.responses.door import read, text_of
from tests.http.test_replicas import Replicas, replicas, session, url  # noqa: F401  # fixtures
from tests.integration.programs import STARTED
from turnwise.testing.servers.process import Process


async def door(replicas: Replicas) -> tuple[Process, AsyncOpenAI]:  # noqa: F811  # the same
    process, client = await replicas.start()
    return process, AsyncOpenAI(base_url=f"{client.base_url}v1", api_key="none", max_retries=0)


async def until_text(stream: Any, wanted: str) -> list[Any]:
    seen: list[Any] = []
    async for event in stream:
        seen.append(event)
        if text_of(seen) == wanted:
            return seen
    raise AssertionError(seen)


def items_at_end(events: list[Any]) -> list[tuple[str, str]]:
    """What a client has that puts the texts together by itself: status and text of each item."""
    items: dict[int, list[str]] = {}
    for event in events:
        if event.type == "response.created":
            items.clear()
        elif event.type == "response.output_item.added":
            items[event.output_index] = ["", ""]
        elif event.type == "response.output_text.delta":
            items[event.output_index][1] += event.delta
        elif event.type == "response.output_item.done":
            items[event.output_index][0] = event.item.status
    return [(status, text) for status, text in items.values()]


async def test_who_follows_elsewhere_is_told_what_is_void(
    replicas: Replicas,  # noqa: F811  # the fixture
) -> None:
    first, here = await door(replicas)
    second, there = await door(replicas)
    async with here, there:
        stream = await here.responses.create(
            model="typist", input="a slow one", background=True, stream=True
        )
        seen = await until_text(stream, "re: a slow")
        response_id = seen[0].response.id
        working = replicas.noted("slow")[0]
        dying, living, client = (
            (first, second, there) if working == first.pid else (second, first, here)
        )
        following = await client.responses.retrieve(response_id, stream=True)
        events = await until_text(following, "re: a slow")
        await dying.kill()
        await replicas.is_slow(2)
        replicas.go()
        events += await read(following)
        assert items_at_end(events) == [
            ("incomplete", "re: a slow"),
            ("completed", "re: a slow one"),
        ]
        final = events[-1].response
        assert (final.status, final.output_text) == ("completed", "re: a slow one")
        cursor = seen[-1].sequence_number
        rest = await read(
            await client.responses.retrieve(response_id, stream=True, starting_after=cursor)
        )
        assert text_of(rest) == "re: a slow one"
        assert rest[-1].response.output_text == "re: a slow one"
        assert items_at_end([*seen, *rest]) == [("completed", "re: a slow one")]
        numbers = {event.sequence_number: event.type for event in events}
        assert all(numbers.get(e.sequence_number, e.type) == e.type for e in rest)
        now = await client.responses.retrieve(response_id)
        assert now.output_text == "re: a slow one"
        await living.terminate(STARTED)
