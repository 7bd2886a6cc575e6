"""Fixtures of several modules here: one server a module, and the workers on each kind of store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.background_fleet import Fleet
from tests.integration.fault_lab import (
    SHORT,
    AnySession,
    HookRecorder,
    message,
    other_tasks,
    session_on,
)
from tests.integration.forked import Forks, forks
from tests.integration.programs import Programs, programs
from tests.integration.scene import Scene, make_scene
from tests.integration.stores import Sessions
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer, find_valkey


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


@pytest.fixture(params=["memory", "sqlite", "valkey"])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


@pytest_asyncio.fixture(loop_scope="module")
async def session(server: ValkeyServer, tmp_path: Path, kind: str) -> AsyncIterator[AnySession]:
    async with session_on(kind, tmp_path, server, worker="one") as session:
        yield session
    assert not other_tasks()


@pytest_asyncio.fixture(loop_scope="module")
async def another(
    session: AnySession, server: ValkeyServer, tmp_path: Path, kind: str
) -> AsyncIterator[AnySession]:
    """Another worker on the same store; memory has but one."""
    if kind == "memory":
        yield session
        return
    async with session_on(kind, tmp_path, server, worker="two") as another:
        yield another


@pytest_asyncio.fixture(loop_scope="module")
async def hasty(server: ValkeyServer, tmp_path: Path, kind: str) -> AsyncIterator[AnySession]:
    """With a lease that runs out soon."""
    async with session_on(kind, tmp_path, server, lease=SHORT, worker="hasty") as session:
        await session.bind("user-1").add_items([message("zero")])  # an empty one expires by itself
        yield session
    assert not other_tasks()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def made_scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return await make_scene(tmp_path_factory.mktemp("scene"))


@pytest.fixture
def scene(made_scene: Scene, tmp_path: Path) -> Scene:
    """A copy of its own for a test that may change it."""
    return made_scene.copied_to(tmp_path)


@pytest.fixture
def recorder() -> HookRecorder:
    return HookRecorder()


@pytest.fixture
def owner(sessions: Sessions, recorder: HookRecorder) -> Session:
    """The sessions of the worker that runs the turns."""
    return sessions.worker(hooks=(recorder,))


@pytest.fixture
def sender(sessions: Sessions, recorder: HookRecorder) -> Session:
    """The sessions of the process that asks another for an answer."""
    return sessions.worker(hooks=(recorder,))


@pytest.fixture
def other(sessions: Sessions) -> Session:
    """Those of another worker."""
    return sessions.worker()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def worker(sessions: Sessions) -> Session:
    return sessions.worker()


@pytest.fixture(params=["valkey", "sqlite"])
def url(request: pytest.FixtureRequest, server: ValkeyServer, tmp_path: Path) -> str:
    return server.url if request.param == "valkey" else f"sqlite:///{tmp_path}/sessions.db"


@pytest_asyncio.fixture(loop_scope="module")
async def started(tmp_path: Path) -> AsyncIterator[Programs]:
    async with programs(tmp_path) as started:
        yield started


@pytest_asyncio.fixture(loop_scope="module")
async def forked(tmp_path: Path) -> AsyncIterator[Forks]:
    async with forks(tmp_path) as forked:
        yield forked


@pytest.fixture(params=["valkey", "sqlite"])
async def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Fleet]:
    """Workers as processes, on a store of their own."""
    async with AsyncExitStack() as stack:
        url = f"sqlite:///{tmp_path / 'sessions.db'}"
        if request.param == "valkey":
            if find_valkey() is None:
                pytest.skip("there is no Valkey")
            url = (await stack.enter_async_context(ValkeyServer())).url
        yield Fleet(url, tmp_path, await stack.enter_async_context(forks(tmp_path)))
