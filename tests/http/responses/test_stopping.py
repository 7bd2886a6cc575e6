"""A server that stops tells OpenAI's own clients so, and another one has the answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import openai
import pytest

from tests.http.responses.door import Door, door_to, read, text_of
from tests.http.responses.writer import writer
from tests.http.test_chat import Pace
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http import replica
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
STOPS = "this server stops; the turn goes on"
KEY = {"Idempotency-Key": "k"}
NAMED = {"X-Conversation-Id": "c", "X-Message-Id": "k"}


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    yield
    assert not other_tasks()


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's turn ends here while the server still waits for that."""
    monkeypatch.setattr(replica, "LAST_ANSWERS", 0.0)


@asynccontextmanager
async def stopping(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    """A server whose worker gives its turns to others as soon as it stops."""
    async with door_to(sessions.worker(), [writer(pace=pace)], grace=0) as door:
        yield door


@asynccontextmanager
async def another(sessions: Sessions) -> AsyncIterator[Door]:
    async with door_to(sessions.worker(), [writer()]) as door:
        yield door


async def respond(door: Door, **more: Any) -> Any:
    return await door.responses.create(model="writer", input="a slow one", **more)


async def complete(door: Door, **more: Any) -> Any:
    said: Any = [{"role": "user", "content": "a slow one"}]
    create: Any = door.client.chat.completions.create
    return await create(model="writer", messages=said, **more)


@pytest.mark.parametrize(("ask", "key"), [(respond, KEY), (complete, NAMED)])
async def test_who_waits_is_told_and_has_the_answer_elsewhere(
    sessions: Sessions, ask: Any, key: dict[str, str]
) -> None:
    pace = Pace()
    async with stopping(sessions, pace) as door:
        waiting = [asyncio.create_task(ask(door, extra_headers=headers)) for headers in (key, None)]
        waits = door.site.replica.gateway.waits

        async def both() -> bool:
            return len(waits) == 2

        await until(both, 30, "both wait")
        await pace.is_slow()
        door.site.replica.stop()
        for each, repeats in zip(waiting, (None, "false"), strict=True):
            with pytest.raises(openai.InternalServerError, match=STOPS) as told:
                await each
            assert told.value.status_code == 503
            assert told.value.response.headers["retry-after"] == "1"
            assert told.value.response.headers.get("x-should-retry") == repeats
    async with another(sessions) as door:
        answer = (await ask(door, extra_headers=key)).model_dump_json()
        assert "re: a slow one" in answer
        assert (await ask(door, extra_headers=key)).model_dump_json().count("re: a slow one") == 1


async def test_who_waits_is_answered_if_the_turn_ends_in_time(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "LAST_ANSWERS", 30.0)
    pace = Pace()
    async with door_to(sessions.worker(), [writer(pace=pace)]) as door:
        waiting = asyncio.create_task(respond(door))
        await pace.is_slow()
        door.site.replica.stop()
        pace.go.set()
        assert (await waiting).output_text == "re: a slow one"
        await asyncio.wait_for(door.site.replica.ended.wait(), 30)


async def test_a_stream_raises_and_goes_on_elsewhere(sessions: Sessions) -> None:
    pace, seen = Pace(), []
    async with stopping(sessions, pace) as door:
        stream = await respond(door, background=True, stream=True)
        with pytest.raises(openai.APIError, match=STOPS):
            async for event in stream:
                seen.append(event)
                if event.type == "response.output_text.delta" and pace.asked["slow"]:
                    door.site.replica.stop()
    response_id, last = seen[0].response.id, seen[-1].sequence_number
    async with another(sessions) as door:
        more = {"stream": True, "starting_after": last}
        rest = await read(await door.responses.retrieve(response_id, **more))
        assert (rest[0].sequence_number > last, rest[-1].type) == (True, "response.completed")
        assert rest[-1].response.output_text == "re: a slow one"
        assert text_of(rest) in ("re: a slow one", " one")


async def test_the_last_event_says_from_where_to_go_on(sessions: Sessions) -> None:
    pace = Pace()
    async with stopping(sessions, pace) as door:
        body = {"model": "writer", "input": "a slow one", "background": True, "stream": True}
        told: list[dict[str, Any]] = []
        async with door.http.stream("POST", "/v1/responses", json=body) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line.removeprefix("data: ")))
                    if told[-1].get("delta") == " slow":
                        door.site.replica.stop()
        assert told[-1]["type"] == "error"
        assert told[-1]["sequence_number"] == told[-2]["sequence_number"]
        assert STOPS in told[-1]["message"] == told[-1]["error"]["message"]


async def test_a_stream_of_completions_raises(sessions: Sessions) -> None:
    pace, said = Pace(), ""
    async with stopping(sessions, pace) as door:
        with pytest.raises(openai.APIError, match=STOPS):
            async for chunk in await complete(door, stream=True, extra_headers=NAMED):
                said += chunk.choices[0].delta.content or ""
                if said == "re: a slow":
                    door.site.replica.stop()
    async with another(sessions) as door:
        answer = await complete(door, extra_headers=NAMED)
        assert answer.choices[0].message.content == "re: a slow one"
