"""What is not to be kept: it goes away by itself, and what was refused leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import HTTPException

from tests.http.responses.door import Door, door_to
from tests.http.responses.writer import writer
from tests.integration.stores import Sessions, new_sessions_of
from turnwise import HistoryChanged, OutcomeUnknown, SessionBusy
from turnwise.http.gateway import Gateway
from turnwise.http.problems import ServerStopping

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
HOUR = 3600
KEY = {"Idempotency-Key": "k"}
REFUSALS = [SessionBusy("busy"), HTTPException(429), ServerStopping("stops")]


@pytest.fixture
async def door(sessions: Sessions) -> AsyncIterator[Door]:
    async with door_to(sessions.worker(), [writer()]) as door:
        yield door


async def forked(door: Door) -> dict[str, Any]:
    """What asks for a response that goes on from an earlier one."""
    first = await door.responses.create(model="writer", input="one")
    await door.responses.create(model="writer", input="two", previous_response_id=first.id)
    return {"input": "three", "previous_response_id": first.id}


async def ids(door: Door) -> set[str]:
    return {one async for one in door.session.scan()}


def refusing(error: Exception) -> Any:
    """Sends nothing; and says that the session has gone on, where that counts."""

    async def refuse(*_: Any, after: str | None = None, **__: Any) -> Any:
        raise error if after is None else HistoryChanged("it has gone on")

    return refuse


async def complete(door: Door) -> int:
    """Ask for a completion in no session; the status of the answer."""
    body = {"model": "writer", "messages": [{"role": "user", "content": "hi"}]}
    return (await door.http.post("/v1/chat/completions", json=body)).status_code


@pytest.mark.parametrize("how", ["new session", "fork", "completion"])
async def test_it_expires_before_it_has_anything_and_while_it_waits(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    seen: list[float | None] = []
    send, end = Gateway.send, Gateway.follow

    session = sessions.worker()

    async def expires_in(session_id: str) -> None:
        info = await session.info(session_id)
        seen.append(None if info is None else info.expires_in)

    async def noting(gateway: Gateway, who: Any, session_id: str, *args: Any, **more: Any) -> Any:
        await expires_in(session_id)
        return await send(gateway, who, session_id, *args, **more)

    async def following(gateway: Gateway, who: Any, session_id: str, *args: Any) -> Any:
        async for event in end(gateway, who, session_id, *args):
            await expires_in(session_id)
            yield event

    async with door_to(session, [writer()]) as door:
        body: dict[str, Any] = await forked(door) if how == "fork" else {"input": "hi"}
        before = await ids(door)
        monkeypatch.setattr(Gateway, "send", noting)
        monkeypatch.setattr(Gateway, "follow", following)
        if how == "completion":
            assert await complete(door) == 200
        else:
            assert (await door.post(**body, store=False)).status_code == 200
        assert await ids(door) == before
    assert len(seen) > 2
    assert all(each is not None and 0 < each <= HOUR for each in seen)


@pytest.mark.parametrize("store", [True, False])
@pytest.mark.parametrize("refusal", REFUSALS, ids=lambda error: type(error).__name__)
async def test_what_is_refused_leaves_no_session(
    door: Door, monkeypatch: pytest.MonkeyPatch, refusal: Exception, store: bool
) -> None:
    body = await forked(door)
    before = await ids(door)
    monkeypatch.setattr(door.site.replica.gateway, "send", refusing(refusal))
    for asked in (body, {"input": "hi"}):
        assert (await door.post(**asked, store=store)).status_code in (400, 429, 503)
    assert await complete(door) in (400, 429, 503)
    assert await ids(door) == before


@pytest.mark.parametrize(
    ("refusal", "headers"), [(HTTPException(429), KEY), (OutcomeUnknown("lost"), {})]
)
async def test_a_copy_that_may_be_in_use_stays(
    door: Door, monkeypatch: pytest.MonkeyPatch, refusal: Exception, headers: dict[str, str]
) -> None:
    body = {"model": "writer"} | await forked(door)
    before = await ids(door)
    with monkeypatch.context() as patched:
        patched.setattr(door.site.replica.gateway, "send", refusing(refusal))
        refused = await door.http.post("/v1/responses", json=body, headers=headers)
        assert refused.status_code in (429, 503)
    assert len(await ids(door) - before) == 1
    again = await door.http.post("/v1/responses", json=body, headers=KEY)
    assert again.json()["status"] == "completed"


async def test_it_counts_as_a_new_session_of_its_owner(
    door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def too_many(*_: Any) -> None:
        raise HTTPException(429)

    monkeypatch.setattr(door.site.replica.gateway, "admit_items", too_many)
    assert (await door.post(input="hi", store=False)).status_code == 429
    assert await complete(door) == 429
    assert await ids(door) == set()
