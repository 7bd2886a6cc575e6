"""What tests of faults share: sessions on every store, raw clients, and a hook that records."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from agents import RunConfig
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from turnwise import MemorySession, RedisSession, SQLiteSession
from turnwise.hooks import (
    TurnCancelledEvent,
    TurnCommittedEvent,
    TurnEvent,
    TurnLostEvent,
    TurnRolledBackEvent,
)
from turnwise.session import Session
from turnwise.stores.redis.clients import close
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

AnySession = RedisSession | SQLiteSession | MemorySession
Item = dict[str, Any]

LONG = 30.0
"""Seconds until something that must happen counts as not happening."""
SHORT = 1.0
"""A lease that a test can wait for."""
QUIET = RunConfig(tracing_disabled=True)


def message(text: str) -> Any:
    return {"role": "user", "content": text}


def patience(session: RedisSession, seconds: float) -> RedisSession:
    """Let its calls give up sooner than an application would want."""
    session._redis._transport.patience = seconds
    return session


def plain_client(url: str, **options: Any) -> Redis:
    """An application's client that never sends a command twice."""
    return Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)


@asynccontextmanager
async def connected(
    connect: Callable[[str], RedisSession], url: str
) -> AsyncIterator[RedisSession]:
    """A session, which is closed with its client at the end, also with an application's."""
    session = connect(url)
    try:
        yield session
    finally:
        await session.aclose()
        await close(session.client)


@asynccontextmanager
async def raw(server: ValkeyServer) -> AsyncIterator[Redis]:
    """A way to the server's bytes that passes nobody's proxy."""
    async with plain_client(server.url) as client:
        yield client


async def opened(session: AnySession, session_id: str) -> bool:
    """Whether a turn is open on the session."""
    info = await session.info(session_id)
    return info is not None and info.open_turn is not None


async def begun_by_another_task(turn: AbstractAsyncContextManager[object]) -> None:
    """Begin a turn as code that is part of no block: it waits behind the turn of the caller's."""
    await asyncio.create_task(turn.__aenter__())


async def until_queued(session: Session, session_id: str, count: int = 1) -> None:
    async def queued() -> bool:
        info = await session.info(session_id)
        return info is not None and info.queued == count

    await until(queued, LONG, f"{count} wait in the queue")


async def assert_free(session: AnySession, session_id: str) -> None:
    """No turn holds it, its queue is empty, and a turn begins without waiting."""
    info = await session.info(session_id)
    assert info is None or (info.open_turn, info.queued) == (None, 0)
    async with session.turn(session_id, busy="reject"):
        pass


def operations(session: AnySession) -> list[Callable[[], Awaitable[object]]]:
    """Every operation on the session user-1."""

    async def turn() -> None:
        async with session.turn("user-1") as turn:
            await turn.add_items([message("one")])

    bound = session.bind("user-1")
    return [
        bound.get_items,
        lambda: bound.add_items([message("one")]),
        bound.pop_item,
        bound.clear_session,
        turn,
        bound.info,
        bound.delete,
        lambda: bound.expire(seconds=60),
    ]


def connections_in_use(session: AnySession) -> int:
    if not isinstance(session, RedisSession):
        return 0
    return len(session.client.connection_pool._in_use_connections)


def other_tasks() -> set[str]:
    """The tasks that run besides this one and a proxy's.

    The one that hears wake-ups may stay until `aclose`.
    """
    tasks = {repr(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}
    return {task for task in tasks if "turnwise-pubsub" not in task and "/proxy/" not in task}


class HookRecorder:
    """A hook that keeps what it was recorder."""

    def __init__(self) -> None:
        self.events: list[TurnEvent] = []

    def __call__(self, event: TurnEvent) -> None:
        self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [type(event).__name__ for event in self.events]

    @property
    def ends(self) -> int:
        """How many turns ended, in whatever way."""
        ends = TurnCommittedEvent | TurnCancelledEvent | TurnRolledBackEvent | TurnLostEvent
        return sum(isinstance(event, ends) for event in self.events)


def session_on(kind: str, folder: Path, server: ValkeyServer, **options: Any) -> AnySession:
    """`kind` is memory, sqlite or valkey; the folder's name keeps tests on one server apart."""
    if kind == "memory":
        return MemorySession(**options)
    if kind == "sqlite":
        return SQLiteSession(folder / "sessions.db", **options)
    return RedisSession.from_url(server.url, **{"key_prefix": f"{folder.name}:", **options})
