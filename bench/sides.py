"""The two sides that are compared, each doing what the SDK's run loop does with a session."""

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

_CHUNK = 1_000

OURS, SDK, PING = "turnwise", "sdk", "ping"


class Side(Protocol):
    """A library with its sessions on one store."""

    async def fill(self, session_id: str, items: Items) -> None:
        """Give a session a history."""

    async def turn(self, session_id: str, said: Items, answered: Items) -> object:
        """What one turn of a run asks of the session: load, save the input, save the output."""

    async def read(self, session_id: str) -> Items:
        """The whole history, the caller's own."""


class SDKSide(ABC):
    """The SDK's sessions: an object for each, made beforehand."""

    def __init__(self) -> None:
        self._sessions: dict[str, SDKSession] = {}

    def session(self, session_id: str) -> SDKSession:
        if session_id not in self._sessions:
            self._sessions[session_id] = self._make(session_id)
        return self._sessions[session_id]

    async def fill(self, session_id: str, items: Items) -> None:
        for start in range(0, len(items), _CHUNK):
            await self.session(session_id).add_items(items[start : start + _CHUNK])

    async def turn(self, session_id: str, said: Items, answered: Items) -> Items:
        session = self.session(session_id)
        history = await session.get_items()
        await session.add_items(said)
        await session.add_items(answered)
        return history

    async def read(self, session_id: str) -> Items:
        return await self.session(session_id).get_items()

    @abstractmethod
    def _make(self, session_id: str) -> SDKSession:
        """The session of that id."""


class SDKOnRedis(SDKSide):
    """All on one client, so that only the first waits for a connection."""

    def __init__(self, client: Redis) -> None:
        super().__init__()
        self.client = client

    def _make(self, session_id: str) -> SDKSession:
        return SDKRedisSession(session_id, redis_client=self.client)


class SDKOnSQLite(SDKSide):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def _make(self, session_id: str) -> SDKSession:
        return SDKSQLiteSession(session_id, self._path)

    def close(self) -> None:
        for session in self._sessions.values():
            assert isinstance(session, SDKSQLiteSession)
            session.close()


class OurSide:
    """Ours. `shared`: as `turnwise.Runner` does it, which hands the run the cache's own items.

    Histories are filled in steps of `chunk` items. Two is what turns leave: each has a marker and
    a record of its own.
    """

    def __init__(self, session: Session, *, shared: bool = True, chunk: int = 2) -> None:
        self.session = session
        self._shared = shared
        self._chunk = chunk

    async def fill(self, session_id: str, items: Items) -> None:
        bound = self.session.bind(session_id)
        for start in range(0, len(items), self._chunk):
            await bound.add_items(items[start : start + self._chunk])

    async def turn(self, session_id: str, said: Items, answered: Items) -> Items:
        async with self.session.turn(session_id, shared=self._shared) as turn:
            history = await turn.get_items()
            await turn.add_items(said)
            await turn.add_items(answered)
        return history

    async def read(self, session_id: str) -> Items:
        return await self.session.bind(session_id).get_items()


@asynccontextmanager
async def redis_client(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url)
    try:
        yield client
    finally:
        await client.aclose()


@asynccontextmanager
async def on_redis(url: str) -> AsyncIterator[tuple[OurSide, SDKOnRedis]]:
    """Both sides on one server, each as its documentation connects."""
    async with redis_client(url) as client, RedisSession.from_url(url) as session:
        yield OurSide(session), SDKOnRedis(client)


@asynccontextmanager
async def on_sqlite(folder: Path) -> AsyncIterator[tuple[OurSide, SDKOnSQLite]]:
    """Both sides on a file each."""
    theirs = SDKOnSQLite(folder / "sdk.db")
    try:
        async with SQLiteSession(folder / "turnwise.db") as session:
            yield OurSide(session, chunk=_CHUNK), theirs
    finally:
        theirs.close()


@asynccontextmanager
async def in_memory() -> AsyncIterator[OurSide]:
    async with MemorySession() as session:
        yield OurSide(session)
