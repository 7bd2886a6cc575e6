"""What the server shows to whom it does not know: nothing but that it is there."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
from fastapi import FastAPI

from tests.http.typist import typist
from tests.scripted import agent
from turnwise import MemorySession
from turnwise.http import Quota, by_api_key, create_app
from turnwise.session import Session

OPEN = {"/healthz", "/readyz"}


def app_on(session: Session) -> FastAPI:
    return create_app(session, agent(), authenticate=by_api_key(session), quota=Quota())


def routes(app: FastAPI) -> Iterator[tuple[str, str]]:
    """The methods and paths of all that is no probe."""
    for path, operations in app.openapi()["paths"].items():
        if path not in OPEN:
            for method in operations:
                yield method.upper(), path


async def test_every_route_asks_who_it_is() -> None:
    async with MemorySession() as session:
        app = app_on(session)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            found = list(routes(app))
            assert len(found) >= 7
            for method, path in found:
                for headers in ({}, {"Authorization": "Bearer tw_0123456789abcdef_wrong"}):
                    answer = await client.request(method, path, headers=headers)
                    assert answer.status_code == 401, (method, path)
            for path in OPEN:
                assert (await client.get(path)).status_code != 401


def test_every_route_documents_its_refusals() -> None:
    app = app_on(MemorySession())
    for path, operations in app.openapi()["paths"].items():
        if path not in OPEN:
            for method, operation in operations.items():
                assert {"401", "429", "503"} <= set(operation["responses"]), (method, path)


async def test_the_description_of_the_api_is_there_for_everybody_and_tells_nothing() -> None:
    async with MemorySession() as session:
        app = create_app(session, typist(name="kept quiet"), authenticate=by_api_key(session))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            described = await client.get("/openapi.json")
            assert (described.status_code, "kept quiet" in described.text) == (200, False)
            await session.bind("of-somebody").add_items([{"role": "user", "content": "hi"}])
            assert (await client.get("/openapi.json")).content == described.content


async def test_the_chat_page_is_there_for_everybody_or_for_nobody() -> None:
    """Its files are the same for all; what it shows it asks the chat wire for."""
    async with MemorySession() as session:
        for app, status in (
            (app_on(session), 200),
            (create_app(session, agent(), page=False), 404),
        ):
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
                for path in ("/", "/page/chat.js", "/page/style.css", "/page/icon.svg"):
                    assert (await client.get(path)).status_code == status
                    assert (await client.head(path)).status_code == status


async def test_other_sites_are_not_let_in() -> None:
    async with MemorySession() as session:
        transport = httpx.ASGITransport(app_on(session))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            origin = {"Origin": "https://elsewhere.test"}
            asked = {**origin, "Access-Control-Request-Method": "POST"}
            for answer in (
                await client.options("/chat", headers=asked),
                await client.post("/chat", headers=origin, json={}),
                await client.get("/healthz", headers=origin),
            ):
                names = {name for name in answer.headers if name.startswith("access-control-")}
                assert names == set()
                assert "set-cookie" not in answer.headers
