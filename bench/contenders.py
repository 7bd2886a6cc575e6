"""The contenders: each does what the SDK's run loop does with a session."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from agents import SQLiteSession as SDKSQLiteSession
from agents.extensions.memory.redis_session import RedisSession as SDKRedisSession
from agents.memory import Session as SDKSession
from redis.asyncio import Redis

from bench.history import Items
from turnwise import MemorySession, RedisSession, SQLiteSession
from turnwise.session import Session

MAX_CONNECTIONS = 1_000
"""Of a client's pool. redis-py's default is 100; one more call at the same time would fail."""
_BATCH = 1_000
_TIMEOUT = 60.0

TURNWISE, SDK, PING = "turnwise", "sdk", "ping"
COPIES, COLD = "turnwise copies", "turnwise cold"


class Contender(Protocol):
    """A library with its sessions on one store."""

    async def fill(self, session_id: str, items: Items) -> None:
        """Give a session a history."""

    async def turn(self, session_id: str, user_items: Items, agent_items: Items) -> object:
        """The session calls of a run with one turn: load, save the input, save the output."""

    async def read(self, session_id: str) -> Items:
        """The whole history, as copies that the caller may change."""


class SDKContender(ABC):
    """The SDK's sessions: one object per session, created beforehand."""

    def __init__(self) -> None:
        self._sessions: dict[str, SDKSession] = {}

    def session(self, session_id: str) -> SDKSession:
        if session_id not in self._sessions:
            self._sessions[session_id] = self._create(session_id)
        return self._sessions[session_id]

    async def fill(self, session_id: str, items: Items) -> None:
        for start in range(0, len(items), _BATCH):
            await self.session(session_id).add_items(items[start : start + _BATCH])

    async def turn(self, session_id: str, user_items: Items, agent_items: Items) -> Items:
        session = self.session(session_id)
        history = await session.get_items()
        await session.add_items(user_items)
        await session.add_items(agent_items)
        return history

    async def read(self, session_id: str) -> Items:
        return await self.session(session_id).get_items()

    @abstractmethod
    def _create(self, session_id: str) -> SDKSession:
        """The session of that id."""


class SDKOnRedis(SDKContender):
    """All sessions share one client, so that only the first waits for a connection."""

    def __init__(self, client: Redis) -> None:
        super().__init__()
        self.client = client

    def _create(self, session_id: str) -> SDKSession:
        return SDKRedisSession(session_id, redis_client=self.client)


class SDKOnSQLite(SDKContender):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _create(self, session_id: str) -> SDKSession:
        return SDKSQLiteSession(session_id, self._path)

    def close(self) -> None:
        for session in self._sessions.values():
            assert isinstance(session, SDKSQLiteSession)
            session.close()


class TurnwiseContender:
    """Turnwise's sessions. `shared`: hand out the cache's own items, as `turnwise.Runner` does.

    `fill` adds `batch` items at a time. Two is what a turn adds, with a marker and a record.
    """

    def __init__(self, session: Session, *, shared: bool = True, batch: int = 2) -> None:
        self.session = session
        self._shared = shared
        self._batch = batch

    async def fill(self, session_id: str, items: Items) -> None:
        bound = self.session.bind(session_id)
        for start in range(0, len(items), self._batch):
            await bound.add_items(items[start : start + self._batch])

    async def turn(self, session_id: str, user_items: Items, agent_items: Items) -> Items:
        async with self.session.turn(session_id, shared=self._shared) as turn:
            history = await turn.get_items()
            await turn.add_items(user_items)
            await turn.add_items(agent_items)
        return history

    async def read(self, session_id: str) -> Items:
        return await self.session.bind(session_id).get_items()


@asynccontextmanager
async def redis_client(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(
        url,
        max_connections=MAX_CONNECTIONS,
        socket_timeout=_TIMEOUT,
        socket_connect_timeout=_TIMEOUT,
    )
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def on_redis(url: str) -> AsyncIterator[tuple[TurnwiseContender, SDKOnRedis]]:
    """Both libraries on one server, each connected as its documentation says."""
    async with redis_client(url) as client, RedisSession.from_url(url) as session:
        yield TurnwiseContender(session), SDKOnRedis(client)


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[tuple[TurnwiseContender, SDKOnSQLite]]:
    """Both libraries, each on a file of its own."""
    sdk = SDKOnSQLite(folder / "sdk.db")
    try:
        async with SQLiteSession(folder / "turnwise.db") as session:
            yield TurnwiseContender(session, batch=_BATCH), sdk
    finally:
        sdk.close()


@asynccontextmanager
async def in_memory() -> AsyncIterator[TurnwiseContender]:
    async with MemorySession() as session:
        yield TurnwiseContender(session)
