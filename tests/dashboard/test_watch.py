"""What visitors watch together, and how they learn that it changed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.dashboard.visitor import visiting
from tests.integration.fault_lab import message, other_tasks
from tests.integration.stores import new_sessions_of
from turnwise.dashboard import changes, dashboard
from turnwise.dashboard.changes import changes as changes_page
from turnwise.dashboard.site import Site, Visit
from turnwise.fleet import watch
from turnwise.fleet.shared import Shared
from turnwise.fleet.watch import mark
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "valkey"])


def counted(session: Session, monkeypatch: pytest.MonkeyPatch) -> Callable[[], int]:
    """How often the store was asked for a page of sessions."""
    asked, page = [0], session.runtime.store.page

    async def counting(*given: object) -> object:
        asked[0] += 1
        return await page(*given)  # type: ignore[arg-type]  # what the real one is given

    monkeypatch.setattr(session.runtime.store, "page", counting)
    return lambda: asked[0]


async def test_ten_visitors_cost_the_store_what_one_costs(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "INTERVAL", 60)
    asked = counted(session, monkeypatch)
    app = dashboard(session, authenticate=None)
    async with app.router.lifespan_context(app), visiting(app) as visitor:
        pages = await asyncio.gather(*(visitor.get("/") for _ in range(10)))
        assert [page.status for page in pages] == [200] * 10
        assert asked() == 1


async def test_it_rests_for_so_long_as_its_looks_cost(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2 % of a core at most, whatever a look costs."""
    pauses: list[float] = []
    asleep, page = asyncio.sleep, session.runtime.store.page

    async def slow(*given: object) -> object:
        await asleep(0.05)
        return await page(*given)  # type: ignore[arg-type]  # what the real one is given

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await asleep(0)

    monkeypatch.setattr(session.runtime.store, "page", slow)
    monkeypatch.setattr(watch, "REST", 49)
    monkeypatch.setattr(watch, "INTERVAL", 0.0)
    monkeypatch.setattr(watch, "LONGEST", 60.0)
    monkeypatch.setattr("turnwise.fleet.watch.asyncio.sleep", noted)
    watched = watch.Watch(session)
    async with watched.kept_up():
        await watched.latest()

        async def has_looked_twice() -> bool:
            return len([pause for pause in pauses if pause > 1]) >= 2

        await until(has_looked_twice, 30, "two looks")
    assert min(pause for pause in pauses if pause > 1) >= 49 * 0.05


async def test_it_ends_when_nobody_looks(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch, "UNWATCHED", 0.1)
    app = dashboard(session, authenticate=None)
    async with visiting(app) as visitor:  # mounted: nobody runs its lifespan
        assert (await visitor.get("/")).status == 200

        async def has_ended() -> bool:
            return not other_tasks()

        await until(has_ended, 30, "the watch ends")
        assert (await visitor.get("/")).status == 200
        await until(has_ended, 30, "it ends again")


def stream(site: Site, last: str = "", **query: str) -> Visit:
    request = _Request(query, {"last-event-id": last})
    return Visit(site, request)  # type: ignore[arg-type]  # all that the page asks of it


@dataclass
class _Request:
    query_params: dict[str, str]
    headers: dict[str, str]


async def heard(events: Any) -> str:
    return str(await asyncio.wait_for(anext(events), 30))


async def test_a_change_of_a_session_is_told(session: Session) -> None:
    await session.bind("s").add_items([message("one")])
    site = Site(session, authenticate=None, read_only=False)
    known = mark(await session.info("s"))
    response: Any = await changes_page(stream(site, id="s", known=known))
    events = response.body_iterator
    assert await heard(events) == "retry: 1000\n\n"
    waiting = asyncio.create_task(heard(events))
    await session.bind("other").add_items([message("not this one")])
    await session.bind("s").add_items([message("two")])
    told = await waiting
    known = mark(await session.info("s"))
    assert told == f"event: change\nid: {known}\ndata:\n\n"
    await events.aclose()
    assert site.watch.streams == 0
    async with session.turn("s"):
        # What changed while a browser was not connected is told when it connects again.
        again: Any = await changes_page(stream(site, known, id="s", known="old"))
        assert await heard(again.body_iterator) == "retry: 1000\n\n"
        assert mark(await session.info("s")) in await heard(again.body_iterator)
        await again.body_iterator.aclose()


async def test_a_stream_ends_so_that_a_server_can_stop(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_SECONDS", 0.2)
    app = dashboard(session, authenticate=None)
    async with app.router.lifespan_context(app), visiting(app) as visitor:
        response = await visitor.client.get("/changes")
        assert response.headers["content-type"].startswith("text/event-stream")
        assert "event: change" in response.text
        idle = await visitor.client.get("/changes?id=nobody&known=-")
        assert idle.text == "retry: 1000\n\n"


async def test_there_are_only_so_many_streams(
    session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "_MOST_STREAMS", 0)
    async with visiting(dashboard(session, authenticate=None)) as visitor:
        page = await visitor.get("/changes")
        assert (page.status, "Too many pages are open" in page.text) == (503, True)


async def test_who_asks_while_the_same_is_asked_shares_the_answer() -> None:
    shared, asked, answer = Shared(0), [0], asyncio.Event()

    async def ask() -> int:
        asked[0] += 1
        await answer.wait()
        return asked[0]

    first, second = (asyncio.create_task(shared.get("x", ask)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    answer.set()
    assert await second == 1
    assert await shared.get("x", ask) == 1
    shared.clear()
    assert await shared.get("x", ask) == 2

    async def fail() -> int:
        raise RuntimeError

    for _ in range(2):
        with pytest.raises(RuntimeError):
            await shared.get("y", fail)
