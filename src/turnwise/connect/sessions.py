"""The sessions that applications make, one class for each kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self, Unpack

from turnwise.connect import clients
from turnwise.connect.settings import Options, limits, name, settings
from turnwise.contracts import Store
from turnwise.errors import UsageError
from turnwise.session import SDKSettings, Session
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.stores.redis import Client, RedisStore
from turnwise.stores.sqlite import SQLiteStore
from turnwise.turns import Runtime

DEFAULT_PREFIX = "agents:sessions:"


def _check(client: object) -> None:
    if not isinstance(client, Client):
        raise UsageError(
            f"client is a redis.asyncio.Redis or redis.asyncio.RedisCluster, not {type(client)!r}; "
            "RedisSession.from_url takes a URL"
        )


class RedisSession(Session):
    """Sessions on Redis, Valkey, Redis Cluster or behind Sentinel.

    `client` is a `redis.asyncio.Redis` or `RedisCluster` of the application's own, with any
    settings; it is never closed here. It serves the event loop and the process in which it is used
    first; elsewhere a call raises UsageError. (With `from_url` each has a client of its own.) A
    session's key is `key_prefix` and its id. `ttl` seconds
    after its last change a session expires; None leaves expiry to the application.

    Raises InvalidKeyPrefix, InvalidTTL, InvalidSessionId, UsageError.
    """

    def __init__(
        self,
        client: Client,
        *,
        session_id: str | None = None,
        key_prefix: str = DEFAULT_PREFIX,
        ttl: float | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
        **options: Unpack[Options],
    ) -> None:
        _check(client)
        self._set_up(
            client, key_prefix, ttl, options, session_id, limit, session_settings, another=None
        )

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        session_id: str | None = None,
        key_prefix: str = DEFAULT_PREFIX,
        ttl: float | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
        **options: Unpack[Options],
    ) -> Self:
        """Sessions on the server that a URL names; see `connect` for the forms. No I/O yet.

        Raises InvalidURL, and what the constructor raises.
        """
        session = cls.__new__(cls)
        session._set_up(
            clients.redis_client(url),
            key_prefix,
            ttl,
            options,
            session_id,
            limit,
            session_settings,
            another=lambda: clients.redis_client(url),
        )
        return session

    @property
    def client(self) -> Any:
        """The Redis client: `await session.client.ping()`. With `from_url`, this event loop's."""
        return self._redis.client

    def key(self, session_id: str | None = None) -> str:
        """The key that holds a session."""
        return self._redis.keys.session(self.named(session_id))

    def _set_up(
        self,
        client: Client,
        key_prefix: str,
        ttl: float | None,
        options: Options,
        session_id: str | None,
        limit: int | None,
        session_settings: SDKSettings,
        *,
        another: Callable[[], Client] | None,
    ) -> None:
        worker = name(options)
        self._redis = RedisStore(
            client,
            key_prefix=key_prefix,
            limits=limits(options, ttl),
            owned=another is not None,
            another=another,
            worker=worker,
        )
        Session.__init__(
            self,
            Runtime(self._redis, settings(options), worker),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


class SQLiteSession(Session):
    """Sessions in one SQLite file, for any number of processes on one machine.

    Raises InvalidTTL, InvalidSessionId, UsageError; for the file itself, StoreError at first use.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        session_id: str | None = None,
        ttl: float | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
        **options: Unpack[Options],
    ) -> None:
        store = SQLiteStore(path, limits=limits(options, ttl))
        super().__init__(
            _worker(store, options),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


class MemorySession(Session):
    """Sessions in this object's memory, for tests and for trying things out."""

    def __init__(
        self,
        *,
        session_id: str | None = None,
        ttl: float | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
        **options: Unpack[Options],
    ) -> None:
        store = MemoryStore(limits=limits(options, ttl))
        super().__init__(
            _worker(store, options),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


def _worker(store: Store, options: Options) -> Runtime:
    return Runtime(store, settings(options), name(options))
