"""Every kind of store, as the sessions of several workers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
import pytest_asyncio

from turnwise import MemorySession, RedisSession, SQLiteSession
from turnwise.session import Session
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.testing.servers import RedisServer, ValkeyServer, find_redis, find_valkey
from turnwise.turns import Runtime, Settings

KINDS = ["memory", "sqlite", "valkey", "redis"]


class Sessions:
    """Makes sessions of further workers on one store, and closes them in the end."""

    def __init__(self, make: Callable[..., Session]) -> None:
        self._make = make
        self._count = 0
        self._stack = AsyncExitStack()

    def worker(self, **settings: Any) -> Session:
        """The sessions as another process would have them: with a cache of its own."""
        session = self._make(**settings)
        self._stack.push_async_callback(session.aclose)
        return session

    def new_id(self) -> str:
        """A session id that was not used yet."""
        self._count += 1
        return f"s{self._count}"

    async def aclose(self) -> None:
        await self._stack.aclose()


@asynccontextmanager
async def sessions_on(kind: str, directory: Path) -> AsyncIterator[Sessions]:
    """The sessions of a new store; a server is started for it, or the test skipped."""
    async with AsyncExitStack() as stack:
        sessions = Sessions(await _maker(kind, directory, stack))
        stack.push_async_callback(sessions.aclose)
        yield sessions


def sessions_of(kinds: list[str]) -> Any:
    """The fixture `sessions` of a module: of one store of each kind, for all of its tests."""

    @pytest_asyncio.fixture(scope="module", loop_scope="module", params=kinds)
    async def sessions(
        request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
    ) -> AsyncIterator[Sessions]:
        async with sessions_on(request.param, tmp_path_factory.mktemp("stores")) as made:
            yield made

    return sessions


def new_sessions_of(kinds: list[str]) -> Any:
    """The fixture `sessions` of a module: of a new store for every test, once of each kind."""

    @pytest_asyncio.fixture(params=kinds)
    async def sessions(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Sessions]:
        async with sessions_on(request.param, tmp_path) as made:
            yield made

    return sessions


async def _maker(kind: str, directory: Path, stack: AsyncExitStack) -> Callable[..., Session]:
    if kind == "memory":
        store = MemoryStore()
        return lambda **settings: _on(store, **settings)
    if kind == "sqlite":
        path = directory / "sessions.db"
        return lambda **settings: SQLiteSession(path, **settings)
    found, server = {
        "valkey": (find_valkey, ValkeyServer),
        "redis": (find_redis, RedisServer),
    }[kind]
    if found() is None:
        pytest.skip(f"there is no server of the kind {kind}")
    url = (await stack.enter_async_context(server())).url
    return lambda **settings: RedisSession.from_url(url, **settings)


def _on(store: MemoryStore, **settings: Any) -> MemorySession:
    """Like MemorySession, on a store that others use too."""
    session = MemorySession(**settings)
    limits = cast("MemoryStore", session.runtime.store).limits
    if limits != store.limits:
        store = MemoryStore(limits=limits, memory=store.memory)
    options = {key: value for key, value in settings.items() if key in Settings.__annotations__}
    session._runtime = Runtime(store, Settings(**options), "another")
    return session
