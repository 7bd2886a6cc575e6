"""Whatever goes wrong is said in words, on a page; the log has the trace."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.dashboard.visitor import Visitor, visitor_of
from tests.integration.fault_lab import message, patience
from tests.integration.stores import Sessions
from tests.integration.test_undecodable import NEWER
from turnwise import RedisSession, SQLiteSession
from turnwise.errors import StoreRefused
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer, find_valkey
from turnwise.testing.servers.waiting import until
from turnwise.types import Done, Grant

ALL = ("/", "/stuck", "/sessions", "/approvals", "/dead-letters", "/workers", "/audit", "/doctor")


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/session?id=nobody", 404, "There is no session nobody : it never was, was deleted"),
        ("/session", 400, "The address lacks id="),
        (f"/session?id={'x' * 600}", 400, "512 bytes"),
        ("/session?id=s&page=0", 400, "page is a whole number from 1"),
        ("/session?id=s&page=²", 400, "page is a whole number from 1"),
        (f"/session?id=s&part={'9' * 5000}", 400, "part is a whole number from 1"),
        ("/sessions?state=happy", 400, "use one of idle"),
        ("/changes?id=" + "x" * 600, 400, "512 bytes"),
        ("/nothing", 404, "There is no such page"),
        ("/static/nothing", 404, "There is no such page"),
    ],
)
async def test_an_address_that_leads_nowhere(
    visitor: Visitor, session: Session, path: str, status: int, text: str
) -> None:
    await session.bind("s").add_items([message("hi")])
    page = await visitor.get(path)
    assert (page.status, text in page.text) == (status, True), page.text


async def test_what_takes_no_form(visitor: Visitor) -> None:
    response = await visitor.client.post("/sessions")
    assert (response.status_code, "cannot be done here" in response.text) == (405, True)


async def test_an_item_that_cannot_be_read_hides_only_the_conversation(
    visitor: Visitor, session: Session
) -> None:
    store = session.runtime.store
    await session.bind("s").add_items([message("before")])
    grant = await store.begin("s", "t", "token", 10_000, worker="newer")
    assert isinstance(grant, Grant)
    done = await store.commit("s", "t", "token", grant.tip, "c", [NEWER])
    assert isinstance(done, Done)
    page = await visitor.get("/session", id="s")
    assert page.status == 200
    assert "It cannot be shown: session 's'" in page.text
    assert "Items 2" in page.text
    assert page.form("delete").action == "/session?id=s"


async def test_what_nobody_foresaw_is_logged_and_not_shown(
    session: Session, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("secret of the house")

    monkeypatch.setattr(session.runtime.store, "info", broken)
    async with visitor_of(session) as visitor:
        page = await visitor.get("/session", id="s")
    assert (page.status, "This page failed" in page.text) == (500, True)
    assert "secret" not in page.html
    assert "Traceback" not in page.html
    assert "secret of the house" in caplog.text


async def test_a_store_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    if find_valkey() is None:
        pytest.skip("there is no Valkey")
    async with ValkeyServer() as server:
        session = patience(RedisSession.from_url(server.url), 0.2)
        async with session, visitor_of(session) as visitor:
            await session.bind("s").add_items([message("hi")])

            async def overview_has(text: str) -> None:
                async def is_shown() -> bool:
                    return text in (await visitor.get("/")).text

                await until(is_shown, 30, text)

            await overview_has("Sessions 1")
            await server.kill()
            await overview_has("The store does not answer as it should:")
            assert "What follows is what was seen before." in (await visitor.get("/")).text
            for path in (
                "/stuck",
                "/sessions",
                "/session?id=s",
                "/approvals",
                "/dead-letters",
                "/audit",
            ):
                page = await visitor.get(path)
                assert (page.status, "The store does not answer" in page.text) == (503, True), path
            doctor = await visitor.get("/doctor")
            assert (doctor.status, "unreachable" in doctor.text) == (200, True)
            await server.restart()

            async def is_back() -> bool:
                return "does not answer" not in (await visitor.get("/")).text

            await until(is_back, 30, "the store is back")


async def test_a_session_object_that_is_closed(tmp_path: Path) -> None:
    session = SQLiteSession(tmp_path / "sessions.db")
    async with visitor_of(session) as visitor:
        await visitor.get("/")
        await session.aclose()
        for path in ALL:
            page = await visitor.get(path)
            assert page.status in (200, 400)
            assert "Traceback" not in page.html
        assert "closed" in (await visitor.get("/sessions")).text


async def test_a_verb_that_the_store_refuses(
    visitor: Visitor, session: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> bool:
        raise StoreRefused("no permission for DEL")

    await session.bind("s").add_items([message("hi")])
    asked = await visitor.send((await visitor.get("/session", id="s")).form("delete"), "delete")
    with monkeypatch.context() as patch:
        patch.setattr(session.runtime.store, "delete", refused)
        told = await visitor.send(asked.form("delete"), "delete")
    assert (told.status, "no permission for DEL" in told.text) == (200, True)
    assert await session.info("s") is not None


async def test_a_newer_session_is_shown_as_such(sessions: Sessions, tmp_path: Path) -> None:
    session = SQLiteSession(tmp_path / "newer.db")
    async with session, visitor_of(session) as visitor:
        await session.bind("s").add_items([message("hi")])
        _make_newer(tmp_path / "newer.db")
        page = await visitor.get("/session", id="s")
        assert (page.status, "A newer version wrote this" in page.text) == (409, True)
        listed = await visitor.get("/sessions")
        assert (listed.status, "newer" in listed.text) == (200, True)
        assert "upgrade the workers" in (await visitor.get("/stuck")).text


def _make_newer(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE sessions SET header = json_set(header, '$.format', 99)")
