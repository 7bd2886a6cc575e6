"""Clients of our own making. They never resend by themselves: the store does, knowing what is safe.

A client that the application brings keeps whatever retries it has; every verb is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hiredis import pack_command
from redis.asyncio import Connection, Redis, RedisCluster, Sentinel, SSLConnection
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff

Client = Redis | RedisCluster

TIMEOUT = 5.0
_OPTIONS: dict[str, Any] = {"socket_timeout": TIMEOUT, "socket_connect_timeout": TIMEOUT}


class _QuickConnection(Connection):
    """Commands are packed by hiredis: for a call of twenty arguments a tenth of the time."""

    def pack_command(self, *args: Any) -> list[bytes]:
        if " " in args[0]:
            return super().pack_command(*args)
        return [pack_command(args)]


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def standalone_client(url: str) -> Redis:
    """A client for one server; `rediss://` checks certificate and host name.

    It has no timeout for answers: whoever calls sees to that, since redis-py's takes a task a call.
    """
    options = {**_OPTIONS, "socket_timeout": None}
    return Redis.from_url(url, connection_class=_QuickConnection, retry=_once(), **options)


def cluster_client(url: str) -> RedisCluster:
    """A client for a cluster that the server at `url` belongs to."""
    return RedisCluster.from_url(url, retry=_once(), **_OPTIONS)


def sentinel_client(
    hosts: Sequence[tuple[str, int]], master: str, url: str, *, sentinel_login: dict[str, str]
) -> Redis:
    """A client for whichever server the sentinels call the primary at the time.

    `url` gives login, TLS, database and options of the servers; its host is not used. Sentinels
    are spoken to with the same TLS options and a login of their own.
    """
    options = {**_OPTIONS, **parse_url(url)}
    secure = issubclass(options.pop("connection_class", Connection), SSLConnection)
    for part in ("host", "port"):
        options.pop(part, None)
    tls = {name: value for name, value in options.items() if name.startswith("ssl_")}
    sentinel_options = {**_OPTIONS, **tls, "ssl": secure, **sentinel_login}
    # redis-py leaves its constructor untyped
    sentinel = Sentinel(hosts, sentinel_kwargs=sentinel_options)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(master, retry=_once(), ssl=secure, **options)
    return client


async def close(client: Client) -> None:
    """Close it, and its connections to the sentinels, which redis-py leaves open."""
    await client.aclose()
    pool = None if isinstance(client, RedisCluster) else client.connection_pool
    if isinstance(pool, SentinelConnectionPool):
        for sentinel in pool.sentinel_manager.sentinels:
            await sentinel.aclose()
