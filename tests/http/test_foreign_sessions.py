"""For each wire a foreign session is none: the same answers, from the same questions to the store.

What creates a session is told that the id is taken; see `docs/security.md`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Monitor

from tests.http.test_owners import ALICE, ASKED, by_header, of, serving
from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import echo
from tests.integration.fault_lab import raw
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise import RedisSession
from turnwise.http import Gateway, create_app
from turnwise.http.wires.responses.ids import Mode, ResponseId
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer, find_valkey

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
FOREIGN, ABSENT = "foreign", "missing"
Asked = list[tuple[str, str, Any]]

_VERCEL_ANSWER = {
    "id": "answer-t",
    "role": "assistant",
    "parts": [
        {
            "type": "tool-pay",
            "toolCallId": "call_pay",
            "state": "approval-responded",
            "input": {},
            "approval": {"id": "pay.1-0", "approved": True},
        }
    ],
}
_RUN = {"threadId": "{}", "runId": "t", "messages": [], "state": {}, "tools": [], "context": []}
_AG_UI = _RUN | {"forwardedProps": {}, "protocolVersion": "1.0"}
_PAY = {"interruptId": "pay.1-0.t", "status": "resolved", "payload": {"approved": True}}
_ITEM = {"type": "message", "role": "user", "content": "x"}
_ASK = {"model": "echo", "input": "x"}

CHAT: Asked = [*ASKED, ("POST", "/chat/{}/cancel", {"turn_id": "t"})]
RESPONSES: Asked = [
    ("GET", "/v1/responses/[]", None),
    ("GET", "/v1/responses/[]?stream=true", None),
    ("GET", "/v1/responses/[]/input_items", None),
    ("POST", "/v1/responses/[]/cancel", None),
    ("DELETE", "/v1/responses/[]", None),
    ("POST", "/v1/responses", {**_ASK, "previous_response_id": "[]"}),
    ("POST", "/v1/responses", {**_ASK, "conversation": "{}"}),
    ("GET", "/v1/conversations/{}", None),
    ("POST", "/v1/conversations/{}", {"metadata": {"k": "v"}}),
    ("DELETE", "/v1/conversations/{}", None),
    ("GET", "/v1/conversations/{}/items", None),
    ("POST", "/v1/conversations/{}/items", {"items": [_ITEM]}),
    ("GET", "/v1/conversations/{}/items/msg_1", None),
    ("DELETE", "/v1/conversations/{}/items/msg_1", None),
]
VERCEL: Asked = [
    ("GET", "/api/chat/{}/stream", None),
    ("GET", "/api/chat/{}/messages", None),
    ("POST", "/api/chat/{}/stop", None),
    ("POST", "/api/chat", {"id": "{}", "messages": [_VERCEL_ANSWER]}),
]
AG_UI: Asked = [
    ("POST", "/agui", _AG_UI),
    ("POST", "/agui", {**_AG_UI, "messages": [{"id": "a", "role": "assistant", "content": "x"}]}),
    ("POST", "/agui", {**_AG_UI, "resume": [_PAY]}),
    ("POST", "/agui/{}/cancel", None),
]
WIRES = {"chat": CHAT, "responses": RESPONSES, "vercel": VERCEL, "ag-ui": AG_UI}


def agents() -> list[Any]:
    return [echo(), Clerk().agent(asks("pay"), says("paid"))]


async def settle(client: httpx.AsyncClient) -> None:
    """Alice has a session with a history and a turn that is parked; its id is t."""
    for agent, key, status in (("echo", "first", 200), ("clerk", "t", 202)):
        body = {"session_id": FOREIGN, "message": "hello", "agent": agent, "turn_id": key}
        assert (await client.post("/chat", json=body, headers=of("alice"))).status_code == status


async def ask(
    client: httpx.AsyncClient, asked: tuple[str, str, Any], session_id: str
) -> tuple[int, str, str]:
    """What Bob is told, in which the session has one name, whichever it is."""
    mode = Mode.BACKGROUND | Mode.STREAM | Mode.STORE
    names = {"{}": session_id, "[]": str(ResponseId(session_id, "t", mode))}
    method, path, body = asked
    content = json.dumps(body)
    for mark, name in names.items():
        path = path.replace(mark, name)
        content = content.replace(f'"{mark}"', f'"{name}"')
    # With `answer-id` useChat asks for that answer, and not for what runs.
    headers = of("bob", **{"content-type": "application/json", "answer-id": "answer-t"})
    sent = None if body is None else content
    answer = await client.request(method, path, content=sent, headers=headers)
    text = answer.text
    for mark, name in names.items():
        text = text.replace(name, mark)
    return answer.status_code, answer.headers.get("content-type", ""), text


@pytest.mark.parametrize("wire", WIRES)
async def test_a_foreign_session_is_answered_as_none(sessions: Sessions, wire: str) -> None:
    session = sessions.worker()
    async with serving(session, agents()) as client:
        await settle(client)
        for asked in WIRES[wire]:
            told = await ask(client, asked, FOREIGN)
            assert told == await ask(client, asked, ABSENT), asked
        assert await session.info(ABSENT) is None
        (pay,) = await Gateway(session, agents()).approvals(ALICE, FOREIGN)
        assert pay.turn_id == "t"


def user(text: str, **more: Any) -> dict[str, Any]:
    return {"id": "m", "role": "user", **more} | ({} if more else {"content": text})


PARTS = {"parts": [{"type": "text", "text": "hello"}]}
CREATING = {
    "vercel": ("/api/chat", {"id": FOREIGN, "messages": [user("", **PARTS)]}),
    "vercel, once more": (
        "/api/chat",
        {"id": FOREIGN, "messages": [user("", **PARTS)], "trigger": "regenerate-message"},
    ),
    "ag-ui": ("/agui", {**_AG_UI, "threadId": FOREIGN, "messages": [user("hello")]}),
    "completions": ("/v1/chat/completions", {"model": "echo", "messages": [user("hello")]}),
    "completions, a stream": (
        "/v1/chat/completions",
        {"model": "echo", "messages": [user("hello")], "stream": True},
    ),
}


@pytest.mark.parametrize("wire", CREATING)
async def test_a_message_to_a_foreign_session_is_refused(sessions: Sessions, wire: str) -> None:
    """In the same words while it is parked and after, and nothing of it changes."""
    session = sessions.worker()
    path, body = CREATING[wire]
    headers = of("bob", **{"X-Conversation-Id": FOREIGN, "X-Message-Id": "t"})
    async with serving(session, agents()) as client:
        await settle(client)
        while_parked = await client.post(path, json=body, headers=headers)
        stored = await session.for_owner("alice").bind(FOREIGN).get_items()
        (pay,) = await session.pending_approvals(FOREIGN)
        await session.decide(FOREIGN, approve=[pay.id])
        await session.receipt(FOREIGN, "t").result(30)
        after = await client.post(path, json=body, headers=headers)
        assert while_parked.status_code == after.status_code == 404
        assert while_parked.text == after.text
        assert not {"alice", "approval"}.intersection(after.text.split())
        assert len(stored) == 2
        assert len(await session.bind(FOREIGN).get_items()) == 6


async def test_a_side_task_about_a_foreign_session_is_one_about_none(sessions: Sessions) -> None:
    async with serving(sessions.worker(), agents()) as client:
        await settle(client)
        body = {"model": "echo", "messages": [user("### Task: a title")]}
        told = []
        for session_id in (FOREIGN, ABSENT):
            headers = of("bob", **{"X-Conversation-Id": session_id, "X-Message-Id": "t"})
            answer = await client.post("/v1/chat/completions", json=body, headers=headers)
            told.append((answer.status_code, answer.json()["choices"]))
        assert told[0] == told[1]
        assert told[0][0] == 200


class Log:
    """What a server is asked, scripts included."""

    def __init__(self, monitor: Monitor, client: Redis) -> None:
        self._monitor = monitor
        self._client = client

    async def commands(self) -> list[str]:
        """The commands since the last call, without their arguments; of a script with its hash."""
        mark = uuid4().hex
        await self._client.echo(mark)
        found: list[str] = []
        while not (said := (await self._monitor.next_command())["command"]).endswith(mark):
            name, *arguments = said.split()
            name = name.upper()
            if name not in _OF_CONNECTIONS:
                found.append(f"{name} {arguments[0]}" if name == "EVALSHA" else name)
        return found


_OF_CONNECTIONS = {"HELLO", "CLIENT", "PING", "SELECT", "AUTH"}


@pytest.fixture
async def server() -> AsyncIterator[ValkeyServer]:
    if find_valkey() is None:
        pytest.skip("there is no Valkey server")
    async with ValkeyServer() as server:
        yield server


@asynccontextmanager
async def alone(session: Session) -> AsyncIterator[httpx.AsyncClient]:
    """An app without a worker: the store is asked what a request needs, and nothing else."""
    app = create_app(session, agents(), authenticate=by_header)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


async def test_the_store_is_asked_the_same(server: ValkeyServer) -> None:
    async with (
        RedisSession.from_url(server.url) as session,
        serving(session, agents()) as client,
    ):
        await settle(client)
    async with (
        RedisSession.from_url(server.url) as session,
        alone(session) as client,
        raw(server) as redis,
        redis.monitor() as monitor,
    ):
        log = Log(monitor, redis)
        for wire, each in WIRES.items():
            for asked in each:
                for session_id in (FOREIGN, ABSENT):  # the scripts are loaded once
                    await ask(client, asked, session_id)
                await log.commands()
                await ask(client, asked, FOREIGN)
                of_foreign = await log.commands()
                await ask(client, asked, ABSENT)
                of_absent = await log.commands()
                assert of_foreign == of_absent, (wire, asked)
                assert of_foreign, (wire, asked)
