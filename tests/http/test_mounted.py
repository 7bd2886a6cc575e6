"""The app mounted in another one, which runs its lifespan, or has forgotten to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from tests.scripted import agent, says
from turnwise import MemorySession, Worker
from turnwise.http import create_app
from turnwise.session import Session

Lifespan = Callable[[Any], AbstractAsyncContextManager[Any]]
MESSAGE = {"session_id": "s", "message": "hi"}


def assistant(session: Session) -> FastAPI:
    agents = [agent(says("Hello."))]
    return create_app(session, agents, worker=Worker(session, agents))


@asynccontextmanager
async def visiting(mounted: FastAPI, lifespan: Lifespan | None) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app that it is mounted in."""
    own = FastAPI(lifespan=lifespan)
    own.mount("/assistant", mounted)
    transport = httpx.ASGITransport(own, raise_app_exceptions=False)
    base = "http://test/assistant"
    async with (
        own.router.lifespan_context(own),
        httpx.AsyncClient(transport=transport, base_url=base) as client,
    ):
        yield client


async def test_it_answers_in_an_app_that_runs_its_lifespan() -> None:
    async with MemorySession() as session:
        app = assistant(session)
        async with visiting(app, app.router.lifespan_context) as client:
            assert (await client.post("/chat", json=MESSAGE)).json() == {"response": "Hello."}
            assert (await client.get("/readyz")).status_code == 200


async def test_it_takes_no_message_that_its_worker_would_never_get(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with MemorySession() as session:
        async with visiting(assistant(session), None) as client:
            ready = await client.get("/readyz")
            assert ready.status_code == 503
            assert "FastAPI(lifespan=app.router.lifespan_context)" in ready.json()["reason"]
            assert (await client.post("/chat", json=MESSAGE)).status_code == 500
            assert "the worker of this app does not run" in caplog.text
        assert await session.info("s") is None
