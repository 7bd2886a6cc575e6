"""Conversations on the chat wire: who answers, the list, copies, and taking one back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.http.site import Site, site_of
from tests.http.test_chat import Pace, code_of
from tests.http.test_owners import of, serving
from tests.http.typist import typist
from tests.integration.background_lab import echo, working
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.fleet import QueuedEntry
from turnwise.http import Gateway, HistoryPage, Principal
from turnwise.http.wires import chat
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
async def site(sessions: Sessions, pace: Pace) -> AsyncIterator[Site]:
    async with site_of(sessions.worker(), [typist(pace), typist(pace, "second")]) as site:
        yield site
        pace.go.set()


async def listed(client: httpx.AsyncClient, **headers: str) -> dict[str, Any]:
    """All conversations by their ids, read in small parts."""
    found, cursor = dict[str, Any](), ""
    while True:
        asked: dict[str, Any] = {"count": 2, "cursor": cursor}
        page = (await client.get("/chat/sessions", params=asked, headers=headers)).json()
        found |= {each["session_id"]: each for each in page["sessions"]}
        if (cursor := page["cursor"]) is None:
            return found


async def turns(site: Site, name: str) -> list[tuple[str, int]]:
    """The conversation's turns, the newest first, with how many items each has."""
    page = (await site.client.get(f"/chat/{name}/history")).json()
    return [(turn["turn_id"], len(turn["items"])) for turn in page["turns"]]


async def test_who_can_answer(site: Site) -> None:
    answer = await site.client.get("/chat/agents")
    assert answer.json() == {"agents": ["typist", "second"]}


async def test_conversations_are_listed_by_what_was_said_last(site: Site, pace: Pace) -> None:
    assert await listed(site.client) == {}
    for name in ("a", "b", "c"):
        await site.chat(name, "first")
    await site.chat("c", f"and\n then {'x' * 100}")
    await site.chat("new", "a slow one", timeout=0)
    await pace.is_slow()
    found = await listed(site.client)
    said = f"and then {'x' * 70}…"
    titles = {name: each["title"] for name, each in found.items()}
    assert titles == {"a": "first", "b": "first", "c": said, "new": "a slow one"}
    assert len(said) == 80
    assert (found["a"]["state"], found["new"]["state"]) == ("idle", "running")
    assert found["a"]["updated_at"] > 0


async def test_one_is_copied_up_to_a_turn(site: Site) -> None:
    for number in range(3):
        await site.chat("s", f"m{number}", f"k{number}")
    body = {"session_id": "fork", "at": "k1"}
    for _ in range(2):  # the answer was lost, and it is sent again
        copied = await site.client.post("/chat/s/copy", json=body)
        assert copied.json() == {"session_id": "fork", "items": 4}
    assert await turns(site, "fork") == [("k1", 2), ("k0", 2)]
    assert len(await turns(site, "s")) == 3
    await site.chat("other", "another", "k3")
    taken = await site.client.post("/chat/s/copy", json={"session_id": "other"})
    assert code_of(taken) == (409, "SessionExists")
    assert await turns(site, "other") == [("k3", 2)]
    unknown = await site.client.post("/chat/s/copy", json={"session_id": "x", "at": "none"})
    assert code_of(unknown) == (422, "UsageError")
    absent = await site.client.post("/chat/none/copy", json=body)
    assert code_of(absent) == (404, "SessionGone")


async def test_one_is_taken_back_and_goes_on(site: Site, pace: Pace) -> None:
    for number in range(3):
        await site.chat("s", f"m{number}", f"k{number}")
    for removed in (4, 0):  # sent again, it changes nothing
        answer = await site.client.post("/chat/s/rewind", json={"to": "k0"})
        assert answer.json() == {"removed": removed}
    await site.chat("s", "other", "k3")
    page = (await site.client.get("/chat/s/history")).json()
    assert [turn["turn_id"] for turn in page["turns"] if turn["items"]] == ["k3", "k0"]
    await site.chat("s", "a slow one", timeout=0)
    await pace.is_slow()
    busy = await site.client.post("/chat/s/rewind", json={"to": None})
    assert code_of(busy) == (409, "SessionBusy")
    pace.go.set()
    absent = await site.client.post("/chat/none/rewind", json={"to": None})
    assert code_of(absent) == (404, "SessionGone")


async def test_the_history_says_what_waits(site: Site, pace: Pace) -> None:
    await site.chat("s", "a slow one", "k1", timeout=0)
    await pace.is_slow()
    await site.chat("s", "next", "k2", timeout=0, agent="second")
    page = (await site.client.get("/chat/s/history")).json()
    assert (page["open_turn"], page["turns"]) == ("k1", [])
    assert page["waiting"] == [
        {"turn_id": "k1", "agent": "typist", "message": "a slow one"},
        {"turn_id": "k2", "agent": "second", "message": "next"},
    ]
    pace.go.set()
    await site.chat("s", "next", "k2", agent="second")
    page = (await site.client.get("/chat/s/history")).json()
    assert (page["open_turn"], page["waiting"], len(page["turns"])) == (None, [], 2)


class EndsBetween(Gateway):
    """The turn ends between its first look at a session and its second."""

    def __init__(self, session: Session, agents: Any, pace: Pace) -> None:
        super().__init__(session, agents)
        self._pace = pace

    async def history(self, *names: Any, **more: Any) -> HistoryPage | None:
        found = await super().history(*names, **more)
        await self._end()
        return found

    async def waiting(self, *names: Any) -> list[QueuedEntry]:
        found = await super().waiting(*names)
        await self._end()
        return found

    async def open_turn(self, *names: Any) -> str | None:
        found = await super().open_turn(*names)
        await self._end()
        return found

    async def _end(self) -> None:
        self._pace.go.set()
        await self.result(Principal(None), "s", "k", 30)


async def test_a_turn_that_ends_while_the_history_is_read_is_in_it(
    sessions: Sessions, pace: Pace
) -> None:
    session, agents = sessions.worker(), [typist(pace)]
    app = FastAPI()
    app.include_router(chat.router(EndsBetween(session, agents, pace)))
    transport = httpx.ASGITransport(app)
    async with (
        working(session, *agents),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        await session.submit("s", "a slow one", turn_id="k", agent="typist")
        await pace.is_slow()
        page = (await client.get("/chat/s/history")).json()
    assert [turn["turn_id"] for turn in page["turns"]] == ["k"]
    assert (page["open_turn"], page["waiting"]) == (None, [])


async def test_each_owner_has_conversations_of_their_own(sessions: Sessions) -> None:
    async with serving(sessions.worker(), [echo()]) as client:
        for owner in ("alice", "bob"):
            message = {"session_id": f"{owner}-1", "message": f"I am {owner}"}
            await client.post("/chat", json=message, headers=of(owner))
        for owner in ("alice", "bob"):
            (found,) = (await listed(client, **of(owner))).values()
            assert found["title"] == f"I am {owner}"
        bodies: dict[str, Any] = {"copy": {"session_id": "mine"}, "rewind": {"to": None}}
        for verb, body in bodies.items():
            for name in ("alice-1", "none"):
                path = f"/chat/{name}/{verb}"
                answer = await client.post(path, json=body, headers=of("bob"))
                assert code_of(answer) == (404, "SessionGone")
        taken = {"session_id": "alice-1"}
        answer = await client.post("/chat/bob-1/copy", json=taken, headers=of("bob"))
        assert code_of(answer) == (404, "SessionTaken")
