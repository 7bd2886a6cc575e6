"""The chat wire, on a real server: one message, one answer, whatever becomes of the connection."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.http.site import STREAM, Sent, Site, events_of, said, site_of
from tests.http.typist import typist
from tests.integration.approval_lab import Clerk, asks
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


class Pace:
    """Lets the model say its words; it waits before "slow" ones until `go` is set."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.asked: Counter[str] = Counter()
        self.fails = 0

    async def __call__(self, so_far: str) -> None:
        if not so_far:
            self.asked["model"] += 1
        if so_far.endswith("slow"):
            self.asked["slow"] += 1
            if self.fails > 0:
                self.fails -= 1
                raise RuntimeError("the model broke")
            await self.go.wait()

    async def is_slow(self) -> None:
        async def reached() -> bool:
            return self.asked["slow"] > 0

        await until(reached, 30, "the model was asked")


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture
def clerk() -> Clerk:
    return Clerk()


@pytest.fixture
async def site(sessions: Sessions, pace: Pace, clerk: Clerk) -> AsyncIterator[Site]:
    agents = [typist(pace), clerk.agent(asks("pay", "send"), says("paid"))]
    async with site_of(sessions.worker(), agents) as site:
        yield site
        pace.go.set()
    assert not other_tasks()


async def streamed(
    client: httpx.AsyncClient, session_id: str, message: str, key: str, **more: Any
) -> list[Sent]:
    body = {"session_id": session_id, "message": message, **more}
    headers = {"Idempotency-Key": key, **STREAM}
    async with client.stream("POST", "/chat", json=body, headers=headers) as response:
        return [event async for event in events_of(response)]


async def followed(
    client: httpx.AsyncClient, names: str, after: str = "", **headers: str
) -> list[Sent]:
    async with client.stream(
        "GET", f"/chat/{names}/events", params={"after": after}, headers=headers
    ) as response:
        return [event async for event in events_of(response)]


def code_of(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["status"] == response.status_code
    return response.status_code, problem["code"]


async def test_the_reference_documents_app(site: Site) -> None:
    response = await site.client.post("/chat", json={"session_id": "s", "message": "hi there"})
    assert (response.status_code, response.json()) == (200, {"response": "re: hi there"})
    assert response.headers["turn-id"]


async def test_an_answer_as_a_stream(site: Site) -> None:
    events = await streamed(site.client, "s", "hi there", "k")
    assert [event.event for event in events] == [
        *("turn", "agent", "delta", "delta", "delta", "message", "done"),
    ]
    assert events[0].data == {"session_id": "s", "turn_id": "k"}
    assert said(events) == "re: hi there"
    done = events[-1].data
    assert (done["state"], done["response"]) == ("committed", "re: hi there")
    assert all(event.id for event in events[1:])


async def test_a_message_that_is_sent_twice_is_answered_once(site: Site, pace: Pace) -> None:
    sending = [asyncio.create_task(site.chat("s", "a slow one", "k")) for _ in range(3)]
    following = asyncio.create_task(streamed(site.client, "s", "a slow one", "k"))
    await pace.is_slow()
    pace.go.set()
    answers = [*await asyncio.gather(*sending), await site.chat("s", "a slow one", '"k"')]
    assert [answer.json() for answer in answers] == [{"response": "re: a slow one"}] * 4
    assert said(await following) == "re: a slow one"
    assert pace.asked["model"] == 1
    assert len(await site.session.bind("s").get_items()) == 2


async def test_a_key_stands_for_one_message(site: Site) -> None:
    await site.chat("s", "one", "k")
    assert code_of(await site.chat("s", "two", "k")) == (422, "TurnIdReused")
    two_names = await site.chat("s", "one", "k", turn_id="other")
    assert code_of(two_names) == (422, "UnprocessableContent")
    by_body = await site.chat("s", "one", turn_id="k")
    assert by_body.json() == {"response": "re: one"}


async def test_who_does_not_want_to_wait_comes_back(site: Site, pace: Pace) -> None:
    answer = await site.chat("s", "a slow one", "k", timeout=0.05)
    assert answer.status_code == 202
    assert answer.json()["state"] in ("queued", "running")
    await pace.is_slow()
    behind = await site.chat("s", "next", "k2", timeout=0)
    assert (behind.status_code, behind.json()["state"]) == (202, "queued")
    open_turn = (await site.client.get("/chat/s/history")).json()["open_turn"]
    assert open_turn == "k"  # what a reload follows
    pace.go.set()
    assert (await site.chat("s", "a slow one", "k")).json() == {"response": "re: a slow one"}
    turn = (await site.client.get("/chat/s/turns/k")).json()
    assert (turn["state"], turn["response"]) == ("committed", "re: a slow one")


async def test_a_busy_session_may_refuse(site: Site, pace: Pace) -> None:
    first = asyncio.create_task(site.chat("s", "a slow one", "k"))
    await pace.is_slow()
    assert code_of(await site.chat("s", "no", "k2", busy="reject")) == (409, "SessionBusy")
    rolled = await site.chat("s", "instead", "k3", busy="rollback")
    assert rolled.json() == {"response": "re: instead"}
    assert code_of(await first) == (409, "TurnCancelled")
    assert len(await site.session.bind("s").get_items()) == 2


async def test_a_message_that_interrupts(site: Site, pace: Pace) -> None:
    """The session keeps what the other turn had finished; its client is told how it ended."""
    following = asyncio.create_task(streamed(site.client, "s", "a slow one", "k"))
    waiting = asyncio.create_task(site.chat("s", "a slow one", "k"))
    await pace.is_slow()
    answer = await site.chat("s", "instead", "k2", busy="interrupt")
    assert answer.json() == {"response": "re: instead"}
    assert code_of(await waiting) == (409, "TurnCancelled")
    done = (await following)[-1]
    assert (done.event, done.data["state"]) == ("done", "cancelled")
    turns = (await site.client.get("/chat/s/history")).json()["turns"]
    assert [turn["turn_id"] for turn in turns] == ["k2", "k"]
    assert [item["content"] for item in turns[1]["items"]] == ["a slow one"]


async def test_a_turn_is_cancelled(site: Site, pace: Pace) -> None:
    following = asyncio.create_task(streamed(site.client, "s", "a slow one", "k"))
    waiting = asyncio.create_task(site.chat("s", "a slow one", "k"))
    await pace.is_slow()
    answer = await site.client.post("/chat/s/cancel", json={"reason": "enough"})
    assert answer.json() == {"turn_id": "k", "outcome": "cancelled"}
    assert code_of(await waiting) == (409, "TurnCancelled")
    done = (await following)[-1]
    assert (done.event, done.data["state"]) == ("done", "cancelled")
    assert (await site.client.get("/chat/s/turns/k")).json()["reason"] == "enough"
    assert code_of(await site.client.post("/chat/s/cancel", json={})) == (404, "SessionGone")


async def test_approvals(site: Site, clerk: Clerk) -> None:
    sent = await site.chat("s", "go", "k", agent="clerk")
    assert (sent.status_code, sent.json()["state"]) == (202, "parked")
    waiting = sent.json()["approvals"]
    assert [each["tool_name"] for each in waiting] == ["pay", "send"]
    assert (await site.client.get("/chat/s/approvals")).json() == {"approvals": waiting}
    events = await streamed(site.client, "s", "go", "k", agent="clerk")
    assert (events[-1].event, events[-1].data["approvals"]) == ("parked", waiting)
    pay, send = (each["id"] for each in waiting)
    left = await site.client.post("/chat/s/approvals", json={"approve": [pay]})
    assert [each["id"] for each in left.json()["approvals"]] == [send]
    following = asyncio.create_task(followed(site.client, "s/turns/k", events[-1].id))
    decided = await site.client.post("/chat/s/approvals", json={"reject": {send: "not now"}})
    assert decided.json() == {"approvals": []}
    rest = await following
    assert [event.event for event in rest][:2] == ["turn", "resumed"]
    assert (said(rest), rest[-1].data["state"]) == ("paid", "committed")
    assert clerk.ran == {"pay": 1}
    again = await site.chat("s", "go", "k", agent="clerk")
    assert again.json() == {"response": "paid"}
    late = await site.client.post("/chat/s/approvals", json={"approve": [pay]})
    assert code_of(late) == (404, "NoPendingApproval")
    # From the beginning it is not parked any more, and is told to the end.
    whole = await followed(site.client, "s/turns/k")
    assert "parked" not in [event.event for event in whole]
    assert whole[-1].event == "done"


async def test_a_stream_goes_on_where_it_broke(site: Site, pace: Pace) -> None:
    body = {"session_id": "s", "message": "a slow one"}
    headers = {"Idempotency-Key": "k", **STREAM}
    async with site.client.stream("POST", "/chat", json=body, headers=headers) as response:
        first = await until_said(events_of(response), "re: a slow")
    following = asyncio.create_task(followed(site.client, "s/turns/k", first[-1].id))
    by_header = asyncio.create_task(
        followed(site.client, "s/turns/k", "1-0", **{"Last-Event-ID": first[-1].id})
    )
    pace.go.set()
    rest = await following
    assert said([*first, *rest[1:]]) == "re: a slow one"
    assert await by_header == rest
    assert [event.event for event in rest] == ["turn", "delta", "message", "done"]
    assert said(await followed(site.client, "s/turns/k")) == "re: a slow one"
    # A browser whose stream has ended comes back by itself: 204 tells it to stay away.
    end = await site.client.get("/chat/s/turns/k/events", headers={"Last-Event-ID": rest[-1].id})
    assert end.status_code == 204
    unknown = await site.client.get("/chat/s/turns/none/events")
    assert code_of(unknown) == (404, "SessionGone")


async def until_said(events: AsyncIterator[Sent], text: str) -> list[Sent]:
    """The events of a stream until its reader shows this text."""
    seen: list[Sent] = []
    while said(seen) != text:
        seen.append(await anext(events))
    return seen


async def test_what_another_attempt_makes_void_is_taken_back(site: Site, pace: Pace) -> None:
    pace.fails = 1
    pace.go.set()
    events = await streamed(site.client, "s", "a slow one", "k")
    assert "reset" in [event.event for event in events]
    assert said(events) == "re: a slow one"
    assert events[-1].data["response"] == "re: a slow one"


async def test_a_message_that_fails_for_good(site: Site, pace: Pace) -> None:
    pace.fails = 9
    events = await streamed(site.client, "s", "a slow one", "k")
    assert (events[-1].event, events[-1].data["state"]) == ("done", "dead")
    answer = await site.chat("s", "a slow one", "k")
    assert code_of(answer) == (500, "DeadLettered")
    assert "RuntimeError" not in answer.text  # that is for operators


async def test_history_comes_in_pages_the_newest_first(site: Site) -> None:
    for n in range(7):
        await site.chat("s", f"m{n}", f"k{n}")
    found, before = [], None
    for size in (3, 3, 1):
        page = (
            await site.client.get(
                "/chat/s/history", params={"count": 3} | ({"before": before} if before else {})
            )
        ).json()
        assert len(page["turns"]) == size
        found += [turn["turn_id"] for turn in page["turns"]]
        before = page["before"]
    assert found == [f"k{n}" for n in reversed(range(7))]
    assert before is None
    assert page["turns"][0]["items"][0]["content"] == "m0"
    lost = await site.client.get("/chat/s/history", params={"before": "nothing"})
    assert code_of(lost) == (422, "UsageError")
    none = await site.client.get("/chat/nobody/history")
    assert code_of(none) == (404, "SessionGone")


async def test_what_is_wrong_is_said(site: Site) -> None:
    assert code_of(await site.chat("s", "hi", agent="nobody")) == (422, "UnknownAgent")
    assert code_of(await site.chat("", "hi")) == (422, "InvalidSessionId")
    assert code_of(await site.chat("s" * 513, "hi")) == (422, "InvalidSessionId")
    assert code_of(await site.chat("s", "hi", "k" * 257)) == (422, "InvalidTurnId")
    assert code_of(await site.chat("s", "hi", surprise=1)) == (422, "InvalidRequest")
    assert code_of(await site.chat("s", "hi", timeout=-1)) == (422, "InvalidRequest")
    large = await site.chat("s", "x" * (5 << 20))
    assert code_of(large) == (413, "ContentTooLarge")
    assert large.json()["title"] == "Content Too Large"
    json = {"content-type": "application/json"}
    no_json = await site.client.post("/chat", content=b"{", headers=json)
    assert code_of(no_json) == (422, "InvalidRequest")
    form = await site.client.post("/chat", content=b'{"session_id": "s", "message": "hi"}')
    assert code_of(form) == (422, "InvalidRequest")  # as a page of another site can send it
    halves = b'{"session_id": "s", "message": [{"role": "user", "content": "\\ud800"}]}'
    assert (await site.client.post("/chat", content=halves, headers=json)).status_code == 200
    assert (await site.client.get("/chat/s/history")).status_code == 200


async def test_unusual_ids(site: Site) -> None:
    session_id, turn_id = "a/b c%2F?ü\n", "t/1 é\n2"
    answer = await site.chat(session_id, "hi", turn_id=turn_id)
    assert answer.json() == {"response": "re: hi"}
    injected = await site.chat("s", "hi", turn_id="t\r\nX-Injected: yes")
    assert "x-injected" not in injected.headers
    assert "X-Injected" in injected.headers["turn-id"]
    path = "/chat/a%2Fb%20c%252F%3F%C3%BC%0A"
    history = (await site.client.get(f"{path}/history")).json()
    assert history["turns"][0]["turn_id"] == turn_id
    names = f"{path.removeprefix('/chat/')}/turns/{answer.headers['turn-id']}"
    assert said(await followed(site.client, names)) == "re: hi"


async def test_any_replica_answers(site: Site, sessions: Sessions, pace: Pace) -> None:
    async with site_of(sessions.worker(), [typist()], works=False) as other:
        following = asyncio.create_task(streamed(other.client, "s", "a slow one", "k"))
        await pace.is_slow()
        here = asyncio.create_task(followed(site.client, "s/turns/k"))
        pace.go.set()
        assert said(await following) == said(await here) == "re: a slow one"
        assert (await other.chat("s", "a slow one", "k")).json() == {"response": "re: a slow one"}
