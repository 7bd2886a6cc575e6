"""What each endpoint says of a response in each mode: sync, stream, background, not stored."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.responses.door import Door, door_to
from tests.http.responses.writer import writer
from tests.http.site import events_of
from tests.http.test_chat import Pace
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http.wires.responses.ids import Mode, ResponseId

sessions = new_sessions_of(["memory", "valkey"])
MODES: dict[str, dict[str, Any]] = {
    "sync": {},
    "stream": {"stream": True},
    "background": {"background": True},
    "background and stream": {"background": True, "stream": True},
}
FOREGROUND = ["sync", "stream"]
BACKGROUND = ["background", "background and stream"]


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def door(sessions: Sessions, pace: Pace) -> AsyncIterator[Door]:
    async with door_to(sessions.worker(), [writer(pace=pace)]) as door:
        yield door


async def made(door: Door, mode: str, **body: Any) -> str:
    """A response in this mode, asked for and read to its end: its id."""
    options = MODES[mode] | body
    if options.get("stream"):
        content = {"model": "writer", "input": "hi", **options}
        async with door.http.stream("POST", "/v1/responses", json=content) as response:
            events = [event async for event in events_of(response)]
        return str(events[0].data["response"]["id"])
    answer = await door.post(input="hi", **options)
    assert answer.status_code == 200, answer.text
    response_id = str(answer.json()["id"])
    if options.get("background"):
        await door.over(response_id)
    return response_id


async def asked(door: Door, method: str, path: str) -> tuple[int, str]:
    """The status, and what an error says."""
    answer = await door.http.request(method, f"/v1/responses/{path}")
    if answer.status_code == 200 and "event-stream" in answer.headers["content-type"]:
        return 200, ""
    body = answer.json()
    if answer.status_code == 200:
        return 200, str(body.get("status", ""))
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert body["error"]["type"] == "invalid_request_error"
    return answer.status_code, body["error"]["message"]


@pytest.mark.parametrize("mode", MODES)
async def test_a_stored_response_is_there_afterwards(door: Door, mode: str) -> None:
    assert await asked(door, "GET", await made(door, mode)) == (200, "completed")


@pytest.mark.parametrize("mode", FOREGROUND)
@pytest.mark.parametrize(
    ("method", "what"), [("GET", ""), ("GET", "?stream=true"), ("POST", "/cancel"), ("DELETE", "")]
)
async def test_what_is_not_stored_is_never_there(
    door: Door, mode: str, method: str, what: str
) -> None:
    response_id = await made(door, mode, store=False)
    status, _ = await asked(door, method, response_id + what)
    assert status == 404


@pytest.mark.parametrize(
    ("mode", "why"), [("sync", "background"), ("stream", "background"), ("background", "stream")]
)
async def test_only_a_stream_in_the_background_streams_again(
    door: Door, mode: str, why: str
) -> None:
    assert await asked(door, "GET", f"{await made(door, mode)}?stream=true") == (
        400,
        f"This response cannot be streamed because it was not created with {why}=true.",
    )


async def test_a_stream_in_the_background_streams_again(door: Door) -> None:
    path = f"{await made(door, 'background and stream')}?stream=true"
    assert await asked(door, "GET", path) == (200, "")


@pytest.mark.parametrize("mode", FOREGROUND)
async def test_only_what_is_in_the_background_is_cancelled(door: Door, mode: str) -> None:
    assert await asked(door, "POST", f"{await made(door, mode)}/cancel") == (
        400,
        "Cannot cancel a synchronous response.",
    )


@pytest.mark.parametrize("mode", BACKGROUND)
async def test_what_is_completed_is_not_cancelled(door: Door, mode: str) -> None:
    assert await asked(door, "POST", f"{await made(door, mode)}/cancel") == (
        400,
        "Cannot cancel a completed response.",
    )


@pytest.mark.parametrize("mode", MODES)
async def test_a_deleted_response_is_nowhere(door: Door, mode: str) -> None:
    response_id = await made(door, mode)
    deleted = await door.http.delete(f"/v1/responses/{response_id}")
    assert deleted.json() == {"id": response_id, "object": "response", "deleted": True}
    for method, what in (("GET", ""), ("DELETE", ""), ("POST", "/cancel"), ("GET", "/input_items")):
        assert (await asked(door, method, response_id + what))[0] == 404


@pytest.mark.parametrize("mode", FOREGROUND)
async def test_in_the_foreground_it_is_not_there_before_its_end(
    door: Door, pace: Pace, mode: str
) -> None:
    key = {"Idempotency-Key": "known"}
    body = {"model": "writer", "input": "a slow one", **MODES[mode]}
    asking = asyncio.create_task(door.http.post("/v1/responses", json=body, headers=key))
    await pace.is_slow()
    session_id = await anext(door.session.scan())
    flags = Mode.STORE | (Mode.STREAM if mode == "stream" else Mode.NONE)
    response_id = str(ResponseId(session_id, "known", flags))
    for method, what in (("GET", ""), ("POST", "/cancel"), ("DELETE", "")):
        assert (await asked(door, method, response_id + what))[0] == 404
    pace.go.set()
    assert response_id in (await asking).text
    assert await asked(door, "GET", response_id) == (200, "completed")


@pytest.mark.parametrize("mode", BACKGROUND)
async def test_what_runs_is_not_deleted_but_cancelled_and_twice_is_once(
    door: Door, pace: Pace, mode: str
) -> None:
    body = {"model": "writer", "input": "a slow one", **MODES[mode]}
    async with door.http.stream("POST", "/v1/responses", json=body) as answer:
        if mode == "background":
            await answer.aread()
            response_id = str(answer.json()["id"])
            events: Any = None
        else:
            events = events_of(answer)
            response_id = (await anext(events)).data["response"]["id"]
        await pace.is_slow()
        assert await asked(door, "GET", response_id) == (200, "in_progress")
        assert await asked(door, "DELETE", response_id) == (
            400,
            "Cannot delete an in-flight response.",
        )
        for _ in range(2):
            cancelled = await door.http.post(f"/v1/responses/{response_id}/cancel")
            assert cancelled.status_code == 200
            assert (cancelled.json()["status"], cancelled.json()["output"]) == ("cancelled", [])
        if events is not None:
            last = [event async for event in events][-1]
            assert last.event == "response.failed"
            assert last.data["response"]["status"] == "cancelled"
    now = (await door.http.get(f"/v1/responses/{response_id}")).json()
    assert (now["status"], now["output"]) == ("cancelled", [])


async def test_a_cancelled_message_that_waited_is_cancelled(
    sessions: Sessions,
) -> None:
    async with door_to(sessions.worker(), [writer()], works=False) as door:
        created = await door.responses.create(model="writer", input="hi", background=True)
        assert (await door.responses.retrieve(created.id)).status == "queued"
        assert (await door.responses.cancel(created.id)).status == "cancelled"
        assert (await door.responses.retrieve(created.id)).status == "cancelled"


async def test_what_is_contradictory_is_refused(door: Door) -> None:
    response_id = await made(door, "sync")
    refused: list[tuple[dict[str, Any], str]] = [
        ({"background": True, "store": False}, "store=true"),
        ({"previous_response_id": response_id, "conversation": "c"}, "Mutually exclusive"),
        ({"previous_response_id": "resp_nothing"}, "Previous response with id"),
        ({"model": None}, "model"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"role": "nobody", "content": "x"}]}, "role"),
        ({"input": [{"role": "user", "content": 5}]}, "content"),
        ({"input": [{"type": "item_reference", "id": "x"}]}, "whole"),
        ({"input": 5}, "input"),
        ({"text": 5}, "text"),
        ({"metadata": {"a": 5}}, "metadata"),
        ({"tools": 5}, "tools"),
        ({"conversation": 5}, "conversation"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
    ]
    for body, words in refused:
        answer = await door.post(**({"input": "hi"} | body))
        assert answer.status_code == 400, body
        assert words in answer.json()["error"]["message"]
    unknown = await door.http.post("/v1/responses", json={"model": "nobody", "input": "hi"})
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")
    nowhere = await door.post(input="hi", conversation="conv_nothing")
    assert nowhere.status_code == 404


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "order=up"])
async def test_input_items_refuse_what_they_do_not_know(door: Door, query: str) -> None:
    response_id = await made(door, "sync")
    assert (await asked(door, "GET", f"{response_id}/input_items?{query}"))[0] == 400
