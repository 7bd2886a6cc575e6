"""Clients that Turnwise makes. They never resend by themselves: the store does.

A client that the application brings keeps its own retries: every verb is safe to send again.
"""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, ref

from hiredis import pack_command
from redis.asyncio import (
    Connection,
    ConnectionPool,
    Redis,
    RedisCluster,
    Sentinel,
    SSLConnection,
)
from redis.asyncio.connection import AbstractConnection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import (
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.backoff import NoBackoff
from redis.exceptions import ResponseError

from turnwise.errors import UsageError
from turnwise.process import Loop, PerLoop
from turnwise.server_timeout import ServerTimeout

Client = Redis | RedisCluster

TIMEOUT = 5.0
"""Seconds until a connection or an answer is given up."""
PATIENCE = 6.0
"""For how many seconds a call that failed is sent again: three sendings that nobody answers."""
_PING_TIMEOUT = 1.0
_OPTIONS: dict[str, Any] = {
    "socket_timeout": TIMEOUT,
    "socket_connect_timeout": TIMEOUT,
    "socket_keepalive": True,
    "health_check_interval": 15,
}


class _Fast(AbstractConnection):
    """Packs commands by hiredis: a call of twenty arguments takes a tenth of the time.

    Its health check, a PING after 15 idle seconds, gives up soon: a firewall that dropped the
    connection swallows the PING.
    """

    def pack_command(self, *args: Any) -> list[bytes]:
        if " " in args[0]:
            return super().pack_command(*args)
        return [pack_command(args)]

    async def connect(self) -> None:
        # For each command redis-py looks, by way of its retries, whether there is anything to do.
        if not self.is_connected:
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py leaves it so

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        # What is new needs no PING.
        await super().on_connect_check_health(check_health=False)

    async def _send_ping(self) -> None:
        with suppress(ResponseError):  # no permission, say: an answer all the same
            async with ServerTimeout(_PING_TIMEOUT):
                await super()._send_ping()  # type: ignore[no-untyped-call]  # redis-py leaves it so


class _Plain(_Fast, Connection):
    pass


class _TLS(_Fast, SSLConnection):
    pass


class _PlainBySentinel(_Fast, SentinelManagedConnection):
    pass


class _TLSBySentinel(_Fast, SentinelManagedSSLConnection):
    pass


def _no_retries() -> Retry:
    return Retry(NoBackoff(), 0)


def standalone_client(url: str) -> Redis:
    """A client for one server; `rediss://` checks certificate and host name.

    It has no timeout for answers, since redis-py spends a task a call on it: Transport has one.
    """
    options = {**_OPTIONS, "socket_timeout": None, "retry": _no_retries(), **parse_url(url)}
    secure = _pop_secure(options)
    pool = ConnectionPool(connection_class=_TLS if secure else _Plain, **options)
    return Redis.from_pool(pool)


def _pop_secure(options: dict[str, Any]) -> bool:
    """Whether a parsed URL asks for TLS."""
    return issubclass(options.pop("connection_class", Connection), SSLConnection)


def cluster_client(url: str) -> RedisCluster:
    """A client for a cluster that the server at `url` belongs to."""
    return RedisCluster.from_url(url, retry=_no_retries(), **_OPTIONS)


def sentinel_client(
    hosts: Sequence[tuple[str, int]], master: str, url: str, *, sentinel_login: dict[str, str]
) -> Redis:
    """A client for whichever server the sentinels name as the primary.

    `url` gives login, TLS, database and options of the servers; its host is not used. Sentinels
    get the same TLS options and a login of their own.
    """
    options = {**_OPTIONS, **parse_url(url)}
    secure = _pop_secure(options)
    for part in ("host", "port"):
        options.pop(part, None)
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    sentinel_options = {**_OPTIONS, **tls, "ssl": secure, **sentinel_login}
    # redis-py leaves its constructor untyped
    sentinel = Sentinel(hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
    options["connection_class"] = _TLSBySentinel if secure else _PlainBySentinel
    client: Redis = sentinel.master_for(master, retry=_no_retries(), **options)
    return client


class Clients(PerLoop[Client]):
    """The client of each event loop: a connection works only in the loop that opened it.

    `another` makes a client for a further loop or a forked child. Without it, `client` is the
    application's own and the only one: elsewhere than where it is connected, `get` raises
    UsageError.
    """

    def __init__(self, client: Client, another: Callable[[], Client] | None = None) -> None:
        super().__init__(self._next, disconnect if another is not None else None)
        self._client: Client | None = client
        self._another = another
        self._connected_in_parent = False

    def any(self) -> Client:
        """The running loop's client; where no loop runs, the only client there is."""
        if self._another is None and self._client is not None:
            return self._client
        try:
            return self.get()
        except RuntimeError:
            known = self.all() if self._client is None else [self._client]
        if len(known) != 1:
            raise UsageError("each event loop has its own Redis client: get it where a loop runs")
        return known[0]

    def _next(self) -> Client:
        if self._another is not None:
            client, self._client = self._client, None
            return client or self._another()
        assert self._client is not None, "without `another` the client is never handed over"
        if self._connected_in_parent:
            raise UsageError(f"the Redis client was connected before a fork: {_MAKE_YOUR_OWN}")
        if self.loops() or _is_elsewhere(self._client):
            raise UsageError(
                "the Redis client belongs to another event loop, or to the process that this one "
                f"was forked from: {_MAKE_YOUR_OWN}"
            )
        _OWNERS[self._client] = ref(asyncio.get_running_loop())
        return self._client

    def reset_in_child(self) -> None:
        super().reset_in_child()
        if self._another is None and self._client is not None:
            self._connected_in_parent |= bool(_connections(self._client))


_OWNERS: WeakKeyDictionary[Client, ref[Loop]] = WeakKeyDictionary()
"""The event loop that an application's client belongs to, however many sessions are made of it."""


def _is_elsewhere(client: Client) -> bool:
    """Whether an application's client is used, or connected, in another loop than the running one.

    A forked child has a loop of its own, and is given its parent's connections.
    """
    loop, owner = asyncio.get_running_loop(), _OWNERS.get(client, lambda: None)()
    if owner not in (None, loop) and owner.is_running():
        return True
    # What the application connected before belongs to the loop that it did so in.
    loops = [getattr(each._writer, "_loop", None) for each in _connections(client)]
    return any(each not in (None, loop) for each in loops)


_MAKE_YOUR_OWN = (
    "its connections cannot be used here. Make the client and its RedisSession in the process and "
    "event loop that use them, or use RedisSession.from_url, which makes a client for each"
)


def _connections(client: Client) -> list[Any]:
    """The client's open connections, and those being opened."""
    if isinstance(client, RedisCluster):
        nodes = client.nodes_manager.nodes_cache.values()
        return [each for node in nodes for each in node._connections if each.is_connected]
    pool = client.connection_pool
    idle = [each for each in pool._available_connections if each.is_connected]
    to_sentinels = [each for sentinel in sentinels(client) for each in _connections(sentinel)]
    return [*idle, *pool._in_use_connections, *to_sentinels]


async def reconnect(client: Client) -> None:
    """Have the client replace its connections: idle ones now, each other one after its answer.

    A RedisCluster also asks anew which nodes there are, a Sentinel's client which is the primary.
    """
    if isinstance(client, RedisCluster):
        for node in client.get_nodes():
            node.update_active_connections_for_reconnect()
            await _disconnect_idle(node._free)
        client._initialize = True
        return
    pool: Any = client.connection_pool
    for connection in pool._in_use_connections:
        connection.mark_for_reconnect()
    await _disconnect_idle(pool._available_connections)
    for sentinel in sentinels(client):
        await reconnect(sentinel)


async def _disconnect_idle(connections: Iterable[Any]) -> None:
    for connection in tuple(connections):
        # Without a pause, in which another call would take the connection.
        await connection.disconnect(nowait=True)


def answer_timeout(client: Client) -> float | None:
    """TIMEOUT for a client that would wait for an answer for ever; None for any other one."""
    settings = client if isinstance(client, RedisCluster) else client.connection_pool
    waits_for_ever = settings.connection_kwargs.get("socket_timeout", TIMEOUT) is None
    return TIMEOUT if waits_for_ever else None


def max_connections(client: Client) -> int:
    """How many connections it opens at most to a server, or to each node of a cluster."""
    if isinstance(client, RedisCluster):
        return int(client.connection_kwargs["max_connections"])
    return client.connection_pool.max_connections


def shut_down(client: Client) -> None:
    """Shut down a client's sockets. Its event loop does not run, so it cannot close them."""
    for connection in _connections(client):
        with suppress(OSError, AttributeError):  # closed by now
            opened = connection._writer.transport.get_extra_info("socket")
            # By a second descriptor: what uvloop shows for its socket has no shutdown.
            with socket.socket(fileno=os.dup(opened.fileno())) as own:
                own.shutdown(socket.SHUT_RDWR)


def disconnect(client: Client) -> None:
    """Close a client's connections without waiting, in its event loop or after that is closed."""
    for connection in _connections(client):
        writer, connection._writer = connection._writer, None
        if writer is not None:
            _abort(writer.transport)


def _abort(transport: Any) -> None:
    try:
        transport.abort()
    except RuntimeError:  # its loop is closed, which would have closed the socket
        if (opened := getattr(transport, "_sock", None)) is not None:
            transport._sock = None
            opened.close()


async def close(client: Client) -> None:
    """Close the client, and its connections to sentinels, which redis-py leaves open."""
    await client.aclose()
    for sentinel in sentinels(client):
        await sentinel.aclose()


def sentinels(client: Client) -> list[Redis]:
    """The clients by which it asks the sentinels."""
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    return pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else []
