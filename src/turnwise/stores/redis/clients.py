"""Clients of our own making. They never resend by themselves: the store does, knowing what is safe.

A client that the application brings keeps whatever retries it has; every verb is safe to repeat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

Client = Redis | RedisCluster

_OPTIONS: dict[str, Any] = {"socket_timeout": 5.0, "socket_connect_timeout": 5.0}


def _once() -> Retry:
    return Retry(NoBackoff(), 0)


def standalone_client(url: str) -> Redis:
    """A client for one server; `rediss://` checks certificate and host name."""
    return Redis.from_url(url, retry=_once(), **_OPTIONS)


def cluster_client(url: str) -> RedisCluster:
    """A client for a cluster that the server at `url` belongs to."""
    return RedisCluster.from_url(url, retry=_once(), **_OPTIONS)


def sentinel_client(
    hosts: Sequence[tuple[str, int]],
    master: str,
    *,
    sentinel_options: dict[str, Any],
    **options: Any,
) -> Redis:
    """A client for whichever server the sentinels call the primary at the time."""
    sentinel = Sentinel(hosts, sentinel_kwargs={**_OPTIONS, **sentinel_options})
    client: Redis = sentinel.master_for(master, retry=_once(), **{**_OPTIONS, **options})
    return client
