"""A Chromium, and a dashboard with something of everything to show."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from agents import function_tool
from playwright.async_api import Browser

from demo.browser import chromium, find_chromium
from tests.integration.approval_lab import Clerk, agent, asks, waiting
from tests.integration.background_lab import echo, state, working
from tests.scripted import calls, says, weather
from turnwise import Runner, connect
from turnwise.background import Policy
from turnwise.dashboard import Authenticate
from turnwise.dashboard.serve import serve
from turnwise.fleet import stuck, watch, workers
from turnwise.session import Session

HOSTILE = "\"'><script>document.title='pwned'</script><img src=x onerror=\"alert('pwned')\">{{7*7}}"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    if path is None:
        if os.environ.get("CI"):
            pytest.fail("there is no Chromium: apt-get install chromium")
        pytest.skip("there is no Chromium: apt-get install chromium")
    async with chromium(path) as browser:
        yield browser


@asynccontextmanager
async def served(session: Session, authenticate: Authenticate | None = None) -> AsyncIterator[str]:
    """The address of its dashboard, which this process serves during the block."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            session,
            "127.0.0.1",
            0,
            authenticate=authenticate,
            read_only=False,
            on_ready=ready.set_result,
        )
    )
    try:
        yield await ready
    finally:
        serving.cancel()
        await asyncio.wait([serving])


@pytest.fixture(autouse=True, scope="module")
def restless() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(watch, "INTERVAL", 0.2)
        patch.setattr(watch, "REST", 0)
        patch.setattr(workers, "INTERVAL", 0.1)
        patch.setattr(stuck, "PATIENCE", 0.1)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def session(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Session]:
    path: Path = tmp_path_factory.mktemp("browser") / "sessions.db"
    async with connect(f"sqlite:///{path}", worker="api-1") as session:
        await _fill(session)
        running = await _running(session)
        yield session
        running.cancel()
        await asyncio.wait([running])


async def _fill(session: Session) -> None:
    async def fail(_: str) -> None:
        raise RuntimeError(HOSTILE)

    clerk = Clerk()
    for number in range(25):
        helper = clerk.agent(says("It was shipped on Monday. " * 20))
        await Runner.run(helper, "Where is my order?", session=session, session_id="user-1:orders")
        await session.bind(f"user-{number}:more").add_items([{"role": "user", "content": "hi"}])
    helper = clerk.agent(asks("look"), says("done"))
    more = session.bind("user-2:more")
    await Runner.run(helper, "go", session=more, session_id="user-2:more", turn_id="t-ended")
    await session.bind(HOSTILE).add_items([{"role": "user", "content": HOSTILE}])
    await waiting(session.bind("user-2:refund"), clerk, "pay", "send")
    for number in range(3):
        receipt = await session.submit(f"user-{number}:seat", HOSTILE, agent="echo")
        async with working(session, echo(fail), policy=Policy(max_attempts=1)):
            await state(receipt, "dead")
    await session.submit("user-3:lounge", "Is there a lounge?", agent="lounges")
    await session.runtime.store.begin("user-4:dead", "t-dead", "token", 100, worker="api-2")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(session: Session) -> AsyncIterator[str]:
    async with served(session) as address:
        yield address


async def _running(session: Session) -> asyncio.Task[Any]:
    """A turn in the middle of a tool."""
    runs = asyncio.Event()

    @function_tool
    async def seats() -> str:
        runs.set()
        await asyncio.Event().wait()
        return "none"

    helper = agent(calls("weather"), calls("seats", "call_2"), tools=[weather, seats])
    run = Runner.run(helper, "go", session=session, session_id="user-5:seats", turn_id="t-runs")
    running = asyncio.create_task(run)
    await runs.wait()
    return running
