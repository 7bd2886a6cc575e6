"""More calls at once than connections: they wait for one, or are told what is missing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster

from tests.integration.fault_lab import (
    connected,
    message,
    operations,
    patience,
    plain_client,
)
from turnwise import RedisSession
from turnwise.errors import StoreUnavailable
from turnwise.stores.redis import free_connections
from turnwise.testing.proxy import DelayRequest, FaultProxy
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel, ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 200
BURST = 1_000
BUSY = 0.2
"""Seconds."""
LEAST = "max_connections=2"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


async def turns(session: RedisSession, count: int) -> None:
    """One turn on each of so many sessions, all at once."""

    async def turn(session_id: str) -> None:
        async with session.turn(session_id) as turn:
            await turn.add_items([message("one")])

    await asyncio.gather(*(turn(f"user-{number}") for number in range(count)))


async def test_a_burst_on_our_own_client(server: ValkeyServer) -> None:
    async with RedisSession.from_url(server.url) as session:
        await turns(session, BURST)


async def test_a_busy_event_loop_is_not_taken_for_a_silent_server(server: ValkeyServer) -> None:
    """Each of its iterations takes as long as the server may."""

    async def keeps_busy() -> None:
        while True:
            time.sleep(BUSY)
            await asyncio.sleep(0)

    async with RedisSession.from_url(server.url) as session:
        await turns(session, 1)  # connects
        patience(session, 0.0)
        session._redis._transport.timeout = BUSY
        busy = asyncio.create_task(keeps_busy())
        await turns(session, 5)
        busy.cancel()


@pytest.mark.parametrize(
    "connect",
    [
        RedisSession.from_url,
        lambda url: RedisSession(Redis.from_url(url)),
        lambda url: RedisSession(plain_client(url)),
    ],
    ids=["our own", "an application's", "one that sends once"],
)
async def test_a_small_pool(connect: Callable[[str], RedisSession], server: ValkeyServer) -> None:
    async with connected(connect, f"{server.url}?{LEAST}") as session:
        await turns(session, MANY)


async def test_a_small_pool_for_a_cluster() -> None:
    async with ValkeyCluster() as cluster:
        own = cluster.url + f"?{LEAST}"
        client = RedisCluster.from_url(cluster.node_url, max_connections=2)
        for connect in RedisSession.from_url, lambda _: RedisSession(client):
            async with connected(connect, own) as session:
                await turns(session, MANY)


async def test_a_small_pool_behind_sentinels() -> None:
    async with (
        ValkeySentinel() as sentinels,
        RedisSession.from_url(f"{sentinels.url}?{LEAST}") as session,
    ):
        await turns(session, MANY)


# The application itself holds the connections.


@pytest.mark.parametrize(
    "pool",
    [
        lambda url: Redis.from_url(f"{url}?{LEAST}"),
        lambda url: Redis.from_pool(
            BlockingConnectionPool.from_url(f"{url}?{LEAST}", timeout=0.05)
        ),
    ],
    ids=["refuses", "blocks"],
)
async def test_an_exhausted_pool_is_told_as_that(
    pool: Callable[[str], Redis], server: ValkeyServer
) -> None:
    async with pool(server.url) as client:
        session = patience(RedisSession(client), 0.0)
        free: Any = client.connection_pool
        taken = [await free.get_connection() for _ in range(2)]
        for operation in operations(session):
            with pytest.raises(StoreUnavailable, match=r"max_connections.*from_url") as caught:
                await operation()
            assert "reached" not in str(caught.value)
        patience(session, 30.0)
        waiting = asyncio.create_task(turns(session, MANY))
        await asyncio.sleep(0)
        for connection in taken:
            await free.release(connection)
        await waiting
        await session.aclose()


async def test_connections_that_are_never_free(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A call does not wait for one without end."""
    monkeypatch.setattr(free_connections, "_WAIT", 0.05)
    held = DelayRequest()
    async with (
        FaultProxy.before(server.url) as proxy,
        RedisSession.from_url(f"{proxy.url}?max_connections=1") as session,
    ):
        patience(session, 0.0)
        proxy.faults = lambda command: held if command.name == "LRANGE" else None
        first = asyncio.create_task(session.bind("user-1").get_items())
        await held.arrived.wait()
        with pytest.raises(StoreUnavailable, match="all connections of the Redis client"):
            await session.bind("user-2").get_items()
        held.release()
        await first
