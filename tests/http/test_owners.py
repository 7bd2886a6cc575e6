"""Whoever asks for another owner's conversation is answered as if there were none."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, cast

import httpx
import pytest
from agents import Agent
from fastapi import Request

from tests.http.site import STREAM
from tests.integration.background_lab import QUICK, echo, output, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import SessionGone, SessionTaken
from turnwise.http import Gateway, Principal, Quota, create_app
from turnwise.session import Session
from turnwise.worker import Worker

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
ALICE, BOB = Principal("alice", "alice"), Principal("bob", "bob")


async def by_header(request: Request) -> Principal:
    owner = request.headers["x-owner"]
    return Principal(owner, owner)


@asynccontextmanager
async def serving(
    session: Session, agents: Sequence[Agent[Any]], quota: Quota | None = None
) -> AsyncIterator[httpx.AsyncClient]:
    """An app in this process, with its worker; the client says who asks."""
    worker = Worker(session, agents, policy=QUICK)
    app = create_app(session, agents, worker=worker, authenticate=by_header, quota=quota)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


def of(owner: str, **more: str) -> dict[str, str]:
    return {"x-owner": owner, **more}


async def chat(client: httpx.AsyncClient, owner: str, session_id: str = "s") -> httpx.Response:
    body = {"session_id": session_id, "message": "hello"}
    return await client.post("/chat", json=body, headers=of(owner, **{"Idempotency-Key": "t"}))


ASKED = [
    ("GET", "/chat/{}/history", None),
    ("GET", "/chat/{}/turns/t", None),
    ("GET", "/chat/{}/turns/t/events", None),
    ("GET", "/chat/{}/turns/t/events?after=1-0", None),
    ("GET", "/chat/{}/approvals", None),
    ("POST", "/chat/{}/approvals", {"approve": ["a"]}),
    ("POST", "/chat/{}/cancel", {}),
]


async def test_another_owner_s_conversation_is_answered_as_none(sessions: Sessions) -> None:
    async with serving(sessions.worker(), [echo()]) as client:
        assert (await chat(client, "alice")).json() == {"response": "re: hello"}
        assert (await client.get("/chat/s/history", headers=of("alice"))).status_code == 200
        for method, path, body in ASKED:
            answers = [
                await client.request(method, path.format(name), json=body, headers=of("bob"))
                for name in ("s", "none")
            ]
            told = [(each.status_code, each.text.replace("none", "s")) for each in answers]
            assert told[0] == told[1], path
        taken = await chat(client, "bob")
        assert (taken.status_code, taken.json()["code"]) == (404, "SessionTaken")
        assert "alice" not in taken.text
        assert (await chat(client, "bob", "bobs")).json() == {"response": "re: hello"}
        again = await chat(client, "alice")
        assert again.json() == {"response": "re: hello"}


async def test_nobody_joins_what_another_owner_follows(sessions: Sessions) -> None:
    """A process reads a turn's events once for all who follow it: for those who may."""
    told = asyncio.Event()

    async def wait(_: str) -> None:
        await told.wait()

    session = sessions.worker()
    gateway = Gateway(session, echo(wait))
    receipt = await gateway.send(ALICE, "s", "hello", turn_id="t")
    async with working(session, echo(wait)):
        mine = cast(Any, gateway.follow(ALICE, "s", "t"))
        async with aclosing(mine) as events:
            first, _ = await anext(events)
            for after in (None, first, "1-0"):
                with pytest.raises(SessionGone):
                    async for _, event in gateway.follow(BOB, "s", "t", after):
                        assert event["type"] == "turn.reset"
            told.set()
            kinds = [event["type"] async for _, event in events]
        assert kinds[-1] == "turn.finished"
        await output(receipt)


async def test_a_wire_s_gateway_passes_on_who_asks(sessions: Sessions) -> None:
    session = sessions.worker()
    gateway = Gateway(session, echo())
    await gateway.send(ALICE, "s", "hello", turn_id="t")
    with pytest.raises(SessionTaken):
        await gateway.send(BOB, "s", "hello", turn_id="t")
    assert await gateway.info(BOB, "s") is None
    assert await gateway.open_turn(BOB, "s") is None
    assert await gateway.history(BOB, "s", 10) is None
    assert await gateway.approvals(BOB, "s") == []
    assert not await gateway.delete(BOB, "s")
    assert (await gateway.cancel(BOB, "s", "t")).outcome == "absent"
    assert (await gateway.status(BOB, "s", "t")).state == "unknown"
    assert (await gateway.sessions(BOB)).sessions == []
    with pytest.raises(SessionGone):
        await gateway.result(BOB, "s", "t", 5)
    (found,) = (await gateway.sessions(ALICE)).sessions
    assert (found.session_id, found.owner) == ("s", "alice")
    assert await gateway.open_turn(ALICE, "s") == "t"


NONE: dict[str, Any] = dict.fromkeys(Quota.__dataclass_fields__)


async def test_too_many_requests_are_refused_until_later(sessions: Sessions) -> None:
    quota = Quota(**{**NONE, "requests": "2/hour"})
    async with serving(sessions.worker(), [echo()], quota) as client:
        for _ in range(2):
            assert (await client.get("/chat/s/history", headers=of("alice"))).status_code == 404
        refused = await client.get("/chat/s/history", headers=of("alice"))
        assert (refused.status_code, refused.headers["content-type"]) == (
            429,
            "application/problem+json",
        )
        assert int(refused.headers["retry-after"]) >= 1
        assert (await client.get("/chat/s/history", headers=of("bob"))).status_code == 404
        assert (await client.get("/healthz")).status_code == 200


async def test_messages_and_streams_have_limits_of_their_own(sessions: Sessions) -> None:
    quota = Quota(**{**NONE, "turns": "2/hour", "open_streams": 1, "message_bytes": 100})
    async with serving(sessions.worker(), [echo()], quota) as client:
        large = {"session_id": "s", "message": "x" * 100}
        assert (await client.post("/chat", json=large, headers=of("alice"))).status_code == 413
        assert (await chat(client, "alice")).status_code == 200
        for _ in range(2):  # one after the other
            path = "/chat/s/turns/t/events"
            assert (await client.get(path, headers=of("alice", **STREAM))).status_code == 200
        assert (await chat(client, "alice")).status_code == 200
        refused = await chat(client, "alice", "refused")
        assert (refused.status_code, int(refused.headers["retry-after"]) > 0) == (429, True)
        assert [one async for one in sessions.worker().scan()] == ["s"]
