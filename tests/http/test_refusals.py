"""What is refused changes nothing: every refusal that can come first does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.http.site import STREAM
from tests.http.test_chat import Pace
from tests.http.test_owners import NONE, by_header, of
from tests.http.typist import typist
from tests.integration.background_lab import working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http import Gateway, Quota, Quotas
from turnwise.http.app import WIRES
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "valkey"])
Sent = tuple[str, dict[str, Any], dict[str, str]]


@dataclass
class House:
    """All wires in this process, with a worker; alice asks."""

    gateway: Gateway
    client: httpx.AsyncClient
    session: Session

    async def post(self, path: str, body: Any = None, **headers: str) -> httpx.Response:
        return await self.client.post(path, json=body, headers=of("alice", **headers))

    async def said(self, session_id: str) -> list[Any]:
        items: list[Any] = await self.session.bind(session_id).get_items()
        return [item["content"] for item in items]

    async def ids(self) -> set[str]:
        return {one async for one in self.session.scan()}


@asynccontextmanager
async def house(
    sessions: Sessions, pace: Pace | None = None, *, settings: Any = None, **quota: Any
) -> AsyncIterator[House]:
    """`quota`: the limits that there are."""
    session, agent = sessions.worker(**(settings or {})), typist(pace or Pace())
    quotas = Quotas(session, Quota(**{**NONE, **quota}))
    gateway, app = Gateway(session, agent, quotas), FastAPI()
    for wire in WIRES:
        app.include_router(wire(gateway, by_header))
    transport = httpx.ASGITransport(app)
    async with (
        working(sessions.worker(), agent),
        httpx.AsyncClient(transport=transport, base_url="http://test", timeout=60) as client,
    ):
        yield House(gateway, client, session)


def vercel(chat_id: str, message_id: str, text: str = "hi", **more: Any) -> dict[str, Any]:
    parts = [{"type": "text", "text": text}] if text else []
    message = {"id": message_id, "role": "user", "parts": parts}
    return {"id": chat_id, "messages": [message], **more}


def ag_ui(thread_id: str, run_id: str, **more: Any) -> dict[str, Any]:
    message = {"id": run_id, "role": "user", "content": "hi"}
    empty: dict[str, Any] = {"state": {}, "tools": [], "context": [], "forwardedProps": {}}
    return {"threadId": thread_id, "runId": run_id, "messages": [message], **empty, **more}


USER = [{"role": "user", "content": "hi"}]
STREAMED: dict[str, Sent] = {
    "chat": ("/chat", {"session_id": "x", "message": "hi"}, STREAM),
    "vercel": ("/api/chat", vercel("x", "m"), {}),
    "ag_ui": ("/agui", ag_ui("x", "m"), {}),
    "responses": ("/v1/responses", {"model": "typist", "input": "hi", "stream": True}, {}),
    "completions": (
        "/v1/chat/completions",
        {"model": "typist", "messages": USER, "stream": True},
        {"X-Conversation-Id": "x", "X-Message-Id": "m"},
    ),
}


@pytest.mark.parametrize("wire", STREAMED)
async def test_what_may_not_be_streamed_is_not_queued(sessions: Sessions, wire: str) -> None:
    pace = Pace()
    path, body, headers = STREAMED[wire]
    async with house(sessions, pace, open_streams=1) as here:
        slow = {"session_id": "s", "message": "a slow one"}
        following = asyncio.create_task(here.post("/chat", slow, **STREAM))

        async def follows() -> bool:
            return len(here.gateway.streams) == 1

        await until(follows, 30, "a stream is open")
        refused = await here.post(path, body, **headers)
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert await here.ids() == {"s"}
        pace.go.set()
        assert (await following).status_code == 200
        answered = await here.post(path, body, **headers)
        assert (answered.status_code, "re:" in answered.text) == (200, True)
        assert len(await here.ids()) == 2


async def test_a_stream_that_never_began_counts_no_more(sessions: Sessions) -> None:
    async with house(sessions, open_streams=1) as here:
        body = {"session_id": "s", "message": "hi"}
        assert (await here.post("/chat", body | {"agent": "no"}, **STREAM)).status_code == 422
        assert (await here.post("/chat", body, **STREAM)).status_code == 200
        assert not here.gateway.quotas or not here.gateway.quotas._streams


REFUSED: dict[str, tuple[int, dict[str, Any], dict[str, Any]]] = {
    "another agent": (422, {"agent": "nobody"}, {}),
    "no message": (422, {"text": ""}, {}),
    "too many turns": (429, {}, {"turns": "1/hour"}),
    "too large": (413, {"text": "x" * 200}, {"message_bytes": 100}),
    "too large for the store": (
        413,
        {"text": "x" * 2000},
        {"settings": {"max_item_bytes": 1000}},
    ),
}


@pytest.mark.parametrize("trigger", ["regenerate-message", "submit-message"])
@pytest.mark.parametrize("why", REFUSED)
async def test_a_message_that_is_refused_takes_nothing_back(
    sessions: Sessions, why: str, trigger: str
) -> None:
    status, more, limits = REFUSED[why]
    async with house(sessions, **limits) as here:
        assert (await here.post("/api/chat", vercel("c", "m"))).status_code == 200
        before = await here.said("c")
        again = vercel("c", "m", **more, trigger=trigger, messageId="m")
        assert (await here.post("/api/chat", again)).status_code == status
        assert await here.said("c") == before


async def test_a_server_that_stops_takes_nothing_back(sessions: Sessions) -> None:
    async with house(sessions) as here:
        await here.post("/api/chat", vercel("c", "m"))
        before = await here.said("c")
        here.gateway.stop()
        again = vercel("c", "m", trigger="regenerate-message")
        refused = await here.post("/api/chat", again)
        assert (refused.status_code, refused.json()["code"]) == (503, "ServerStopping")
        assert await here.said("c") == before


async def test_what_is_not_refused_is_answered_again(sessions: Sessions) -> None:
    async with house(sessions) as here:
        for name in ("m1", "m2"):
            await here.post("/api/chat", vercel("c", name, name))
        again = vercel("c", "m2", "edited", messageId="m2")
        assert '" edited"' in (await here.post("/api/chat", again)).text
        assert (await here.said("c"))[::2] == ["m1", "edited"]
        first = vercel("c", "m1", "m1", trigger="regenerate-message")
        assert (await here.post("/api/chat", first)).status_code == 200
        assert (await here.said("c"))[::2] == ["m1"]


async def test_every_way_to_begin_a_session_counts(sessions: Sessions) -> None:
    async with house(sessions, new_sessions="1/hour") as here:
        asked = {"model": "typist", "input": "hi"}
        response = (await here.post("/v1/responses", asked)).json()
        assert response["status"] == "completed"
        there = await here.ids()
        (session_id,) = there
        item = {"role": "user", "content": "hi"}
        fork = {"previous_response_id": response["id"], "store": False}
        for path, body in (
            (f"/chat/{session_id}/copy", {"session_id": "copy"}),
            ("/v1/conversations", {}),
            ("/v1/conversations", {"items": [item], "metadata": {"k": "v"}}),
            ("/v1/responses", asked | fork),
        ):
            refused = await here.post(path, body)
            assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
            assert await here.ids() == there, path


async def test_a_session_that_is_there_counts_no_more(sessions: Sessions) -> None:
    async with house(sessions, new_sessions="2/hour") as here:
        item = {"role": "user", "content": "hi"}
        key = {"Idempotency-Key": "k"}
        made = [await here.post("/v1/conversations", {"items": [item]}, **key) for _ in range(3)]
        (name,) = {each.json()["id"] for each in made}
        for _ in range(3):
            added = await here.post(f"/v1/conversations/{name}/items", {"items": [item]})
            assert added.status_code == 200
        copied = [await here.post(f"/chat/{name}/copy", {"session_id": "copy"}) for _ in range(3)]
        assert [each.status_code for each in copied] == [200] * 3
        assert (await here.post("/v1/conversations", {})).status_code == 429


async def test_items_have_the_bounds_of_a_message(sessions: Sessions) -> None:
    async with house(sessions, message_bytes=100) as here:
        large = {"items": [{"role": "user", "content": "x" * 100}]}
        assert (await here.post("/v1/conversations", large)).status_code == 413
        assert await here.ids() == set()
        name = (await here.post("/v1/conversations", {})).json()["id"]
        refused = await here.post(f"/v1/conversations/{name}/items", large)
        assert refused.status_code == 413
        assert await here.said(name) == []
        small = {"items": [{"role": "user", "content": "x"}]}
        assert (await here.post(f"/v1/conversations/{name}/items", small)).status_code == 200
