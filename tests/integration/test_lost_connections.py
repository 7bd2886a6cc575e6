"""Connections that lead nowhere, or to a server that is no primary any more: they are replaced."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import BlockingConnectionPool, Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.integration.fault_lab import LONG, connected, message, plain_client
from turnwise import RedisSession
from turnwise.stores.redis import clients as clients_module
from turnwise.stores.redis import pubsub
from turnwise.stores.redis.clients import (
    Client,
    cluster_client,
    sentinel_client,
    standalone_client,
)
from turnwise.testing.proxy import Command, Fault, FaultProxy, RefuseRequest
from turnwise.testing.servers import ValkeyCluster, ValkeyServer
from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

MANY = 8
SOON = "socket_timeout=0.3"
"""A URL's option: an answer is not waited for as long as by default."""
Connect = Callable[[str], RedisSession]


CLIENTS: dict[str, Connect] = {
    "our own": RedisSession.from_url,
    "an application's": lambda url: RedisSession(Redis.from_url(url)),
    "one that sends once": lambda url: RedisSession(plain_client(url)),
    "one of one connection": lambda url: RedisSession(
        plain_client(url, single_connection_client=True)
    ),
    "one that blocks": lambda url: RedisSession(
        Redis.from_pool(BlockingConnectionPool.from_url(url, max_connections=MANY))
    ),
}
clients = pytest.mark.parametrize("connect", CLIENTS.values(), ids=CLIENTS)


@pytest_asyncio.fixture(loop_scope="module")
async def old() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def new(old: ValkeyServer) -> AsyncIterator[ValkeyServer]:
    """It follows the old primary."""
    async with ValkeyServer() as server:
        await server.command("REPLICAOF", old.host, old.port)
        await until(server.follows_primary, LONG, "the replica followed")
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(old: ValkeyServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(old.url) as proxy:
        yield proxy


async def add(session: RedisSession, count: int, text: str = "one") -> None:
    """A message to each of so many sessions, all at once."""
    adding = [session.bind(f"user-{n}").add_items([message(text)]) for n in range(count)]
    await asyncio.gather(*adding)


async def texts(session: RedisSession, number: int) -> list[str]:
    items: list[Any] = await session.bind(f"user-{number}").get_items()
    return [item["content"] for item in items]


# Behind a load balancer, the server is no primary any more, and stays up.


async def _read_only(old: ValkeyServer, new: ValkeyServer) -> None:
    await old.command("REPLICAOF", new.host, new.port)
    await until(old.follows_primary, LONG, "the old primary follows the new one")


async def _cut_off(old: ValkeyServer, _: ValkeyServer) -> None:
    await old.command("CONFIG", "SET", "replica-serve-stale-data", "no")
    await old.command("REPLICAOF", old.host, free_port())


@clients
@pytest.mark.parametrize(("demote", "answer"), [(_read_only, "READONLY"), (_cut_off, "MASTERDOWN")])
async def test_an_old_primary_is_left(
    connect: Connect,
    demote: Callable[[ValkeyServer, ValkeyServer], Awaitable[None]],
    answer: str,
    old: ValkeyServer,
    new: ValkeyServer,
    proxy: FaultProxy,
) -> None:
    """At the first call, and at many at once."""
    async with connected(connect, proxy.url) as session:
        await add(session, MANY)
        await until(partial(_has_keys, new, MANY), LONG, "all was replicated")
        await new.command("REPLICAOF", "NO", "ONE")
        await demote(old, new)
        proxy.lead_to(new.host, new.port)
        assert await texts(session, 0) == ["one"]  # a replica that is cut off reads nothing either
        await session.bind("user-0").add_items([message("two")])
        assert await _answered(old, answer)
        await add(session, MANY, "three")
        assert await texts(session, 0) == ["one", "two", "three"]
        assert await texts(session, MANY - 1) == ["one", "three"]


LOADING = RefuseRequest("LOADING Valkey is loading the dataset in memory")


@clients
async def test_a_server_that_loads_its_data_is_left(connect: Connect, proxy: FaultProxy) -> None:
    """New connections lead to another one: after the first answer, all are new."""
    used, old = set[int](), set[int]()

    def judge(command: Command) -> Fault | None:
        used.add(command.connection)
        return LOADING if command.connection in old and command.name == "EVALSHA" else None

    proxy.faults = judge
    async with connected(connect, proxy.url) as session:
        await add(session, MANY)
        old |= used
        await add(session, 1)
        await add(session, MANY)
        assert len(proxy.injected) == 1
        assert await texts(session, 0) == ["one", "one", "one"]


@clients
async def test_wake_ups_come_from_the_new_primary(
    connect: Connect,
    old: ValkeyServer,
    new: ValkeyServer,
    proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The old one is cut off, and says nothing to who listens there."""
    monkeypatch.setattr(pubsub, "_PING_AFTER", math.inf)  # or its answer to a PING would tell
    monkeypatch.setattr(pubsub, "_LOST_AFTER", math.inf)
    async with connected(connect, proxy.url) as session, session.turn("mine") as turn:
        await until(partial(_is_listened_to, old), LONG, "it listens for a cancel")
        await until(partial(_has_keys, new, 1), LONG, "all was replicated")
        await new.command("REPLICAOF", "NO", "ONE")
        await _cut_off(old, new)
        proxy.lead_to(new.host, new.port)
        await turn.add_items([message("one")])
        await add(session, 1)
        await until(partial(_is_listened_to, new), LONG, "it listens there")


async def _is_listened_to(server: ValkeyServer) -> bool:
    return bool(await server.command("PUBSUB", "CHANNELS"))


async def _has_keys(server: ValkeyServer, count: int) -> bool:
    return bool(await server.command("DBSIZE") == count)


async def _answered(server: ValkeyServer, code: str) -> bool:
    return f"errorstat_{code}" in await server.info("errorstats")


# A connection that was idle is dropped, and nobody is told.


@clients
@pytest.mark.parametrize("idle", [1, MANY])
async def test_dropped_while_idle(connect: Connect, idle: int, proxy: FaultProxy) -> None:
    """The next call succeeds, and so do many at once."""
    async with connected(connect, f"{proxy.url}?{SOON}") as session:
        for calls in (1, MANY):
            await add(session, idle)
            proxy.silence()
            await add(session, calls)


async def test_an_application_s_client_that_waits_for_ever(
    proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients_module, "TIMEOUT", 0.3)

    def connect(url: str) -> RedisSession:
        return RedisSession(plain_client(url, socket_timeout=None))

    async with connected(connect, proxy.url) as session:
        await add(session, 1)
        proxy.silence()
        await add(session, 1)


async def test_dropped_by_every_node_of_a_cluster() -> None:
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(ValkeyCluster())
        proxies = {
            node.port: await stack.enter_async_context(FaultProxy(node.host, node.port))
            for node in cluster.nodes
        }
        client = RedisCluster.from_url(
            cluster.node_url,
            address_remap=lambda address: (address[0], proxies[address[1]].port),
            socket_timeout=0.3,
            retry=Retry(NoBackoff(), 0),
        )
        async with connected(lambda _: RedisSession(client), "") as session:
            await add(session, MANY)
            for proxy in proxies.values():
                proxy.silence()
            await add(session, 1)
            await add(session, MANY)


async def test_what_was_idle_for_long_is_asked_first(proxy: FaultProxy) -> None:
    """What is lost then is a PING, not a call."""
    async with connected(RedisSession.from_url, proxy.url) as session:
        await add(session, 1)
        await session.bind("user-0").get_items()
        (connection,) = session.client.connection_pool._available_connections
        with proxy.measure() as traffic:
            await session.bind("user-0").get_items()
        assert "PING" not in traffic.counts
        proxy.silence()
        connection.next_health_check = 0
        with proxy.measure() as traffic:
            await add(session, 1)
        assert traffic.names[0] == "PING"
        assert traffic.counts["EVALSHA"] == 1
        assert await texts(session, 0) == ["one", "one"]


@pytest.mark.parametrize(
    "client",
    [
        standalone_client("redis://localhost"),
        standalone_client("rediss://localhost"),
        sentinel_client([("localhost", 1)], "primary", "redis://primary/0", sentinel_login={}),
        cluster_client("redis://localhost"),
    ],
    ids=["plain", "TLS", "Sentinel", "Cluster"],
)
async def test_our_own_clients_check_idle_connections(client: Client) -> None:
    settings = client if isinstance(client, RedisCluster) else client.connection_pool
    assert settings.connection_kwargs["health_check_interval"] > 0
    assert settings.connection_kwargs["socket_keepalive"]


async def test_keepalive_is_set_on_the_socket(proxy: FaultProxy) -> None:
    async with connected(RedisSession.from_url, proxy.url) as session:
        await add(session, 1)
        (connection,) = session.client.connection_pool._available_connections
        opened = connection._writer.get_extra_info("socket")
        assert opened.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@clients
async def test_a_dropped_subscription_is_opened_again(
    connect: Connect, proxy: FaultProxy, old: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pubsub, "_PING_AFTER", 0.1)
    monkeypatch.setattr(pubsub, "_LOST_AFTER", 0.3)
    async with connected(connect, proxy.url) as session, connected(connect, old.url) as other:
        woken = asyncio.Event()
        with session._redis.on_wakeup("token", woken.set):
            await woken.wait()
            proxy.silence()
            woken.clear()
            await woken.wait()  # as it is whenever a subscription begins
            woken.clear()
            channel = session._redis.keys.wake_channel + session._redis.worker
            # The new one stays, however slow it is.
            monkeypatch.setattr(pubsub, "_LOST_AFTER", LONG)
            assert await other.client.publish(channel, "token") == 2
            await woken.wait()
