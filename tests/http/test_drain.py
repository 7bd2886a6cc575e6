"""How a server ends: nothing new, what runs goes on, everybody is told, nothing is lost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.http.site import STREAM, Sent, Site, events_of, said, site_of
from tests.http.test_chat import Pace, code_of, followed, streamed, until_said
from tests.http.typist import typist
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.http import replica
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def pace() -> Pace:
    return Pace()


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    yield
    assert not other_tasks()


async def test_what_runs_ends_and_nothing_new_begins(
    sessions: Sessions, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replica, "LAST_ANSWERS", 30.0)
    async with site_of(sessions.worker(), [typist(pace)]) as site:

        async def is_ready() -> bool:  # on a busy machine not in the second that a probe waits
            return (await site.client.get("/readyz")).status_code == 200

        await until(is_ready, 30, "it is ready")
        following = asyncio.create_task(streamed(site.client, "s", "a slow one", "k"))
        waiting = asyncio.create_task(site.chat("s", "a slow one", "k"))
        await pace.is_slow()
        site.replica.stop()
        unready = await site.client.get("/readyz")
        assert (unready.status_code, unready.json()["reason"]) == (503, "it is stopping")
        assert (await site.client.get("/healthz")).status_code == 200
        refused = await site.chat("s", "another", "k2")
        assert code_of(refused) == (503, "ServerStopping")
        assert refused.headers["retry-after"] == "1"
        here = asyncio.create_task(followed(site.client, "s/turns/k"))
        pace.go.set()
        assert (await waiting).json() == {"response": "re: a slow one"}
        for events in (await following, await here):
            assert (said(events), events[-1].event) == ("re: a slow one", "done")
        await asyncio.wait_for(site.replica.ended.wait(), 30)
    assert len(await sessions.worker().bind("s").get_items()) == 2


async def test_what_outlasts_the_grace_goes_on_elsewhere(sessions: Sessions, pace: Pace) -> None:
    held = Pace()
    async with (
        site_of(sessions.worker(), [typist(pace)], works=False) as other,
        site_of(sessions.worker(), [typist(held)], grace=0) as site,
    ):
        body, key = {"session_id": "s", "message": "a slow one"}, {"Idempotency-Key": "k"}
        waiting = asyncio.create_task(site.chat("s", "a slow one", "k"))
        async with site.client.stream("POST", "/chat", json=body, headers=key | STREAM) as stream:
            events = events_of(stream)
            before = await until_said(events, "re: a slow")
            site.replica.stop()
            rest = [event async for event in events]
        assert [event.event for event in rest] == ["reconnect"]
        assert code_of(await waiting) == (503, "ServerStopping")
        after = await resumed(sessions, pace, other, before[-1].id)
        assert said([*before, *after]) == "re: a slow one"
        assert (await other.chat("s", "a slow one", "k")).json() == {"response": "re: a slow one"}


async def resumed(sessions: Sessions, pace: Pace, other: Site, last: str) -> list[Sent]:
    """What a client that comes back gets from another server, while a third takes the turn."""
    following = asyncio.create_task(followed(other.client, "s/turns/k", last))
    pace.go.set()
    async with site_of(sessions.worker(), [typist(pace)]):
        return (await following)[1:]


async def test_a_server_without_a_worker_sends_everybody_away_at_once(
    sessions: Sessions,
) -> None:
    async with site_of(sessions.worker(), [typist()], works=False) as site:
        following = asyncio.create_task(streamed(site.client, "s", "hi", "k"))
        waiting = asyncio.create_task(site.chat("s", "hi", "k"))
        gateway = site.replica.gateway

        async def both() -> bool:
            return (len(gateway.streams), len(gateway.waits)) == (1, 1)

        await until(both, 30, "both wait")
        site.replica.stop()
        assert (await following)[-1].event == "reconnect"
        assert code_of(await waiting) == (503, "ServerStopping")
    async with site_of(sessions.worker(), [typist()]) as next_site:
        assert (await next_site.chat("s", "hi", "k")).json() == {"response": "re: hi"}


async def test_a_second_signal_ends_the_grace(sessions: Sessions, pace: Pace) -> None:
    async with site_of(sessions.worker(), [typist(pace)], grace=600) as site:
        following = asyncio.create_task(streamed(site.client, "s", "a slow one", "k"))
        await pace.is_slow()
        site.replica.stop()
        site.replica.stop()
        assert (await following)[-1].event == "reconnect"
    assert not (await sessions.worker().status("s", "k")).alive  # it was released


async def test_a_worker_that_an_operator_stops_ends_its_server(sessions: Sessions) -> None:
    async with site_of(sessions.worker(), [typist()]) as site:
        worker = site.replica._worker
        assert worker is not None
        worker.stop()
        await asyncio.wait_for(site.replica.ended.wait(), 30)
        assert not site.replica.failed
