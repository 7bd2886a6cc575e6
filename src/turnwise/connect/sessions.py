"""The sessions that applications make, one class for each kind of store."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Self, Unpack

from turnwise.connect import clients
from turnwise.connect.settings import Options, store_limits, turn_settings, worker_name
from turnwise.contracts import Store
from turnwise.errors import UsageError
from turnwise.session import Session
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.stores.redis import DEFAULT_PREFIX, Client, RedisStore
from turnwise.stores.sqlite import SQLiteStore
from turnwise.turn_session import SDKSettings
from turnwise.turns import Runtime


def _check(client: object) -> None:
    if not isinstance(client, Client):
        raise UsageError(
            f"client must be a redis.asyncio.Redis or redis.asyncio.RedisCluster, not "
            f"{type(client)!r}. For a URL use RedisSession.from_url"
        )


class RedisSession(Session):
    """Sessions on Redis, Valkey, Redis Cluster or behind Sentinel.

    Args:
        client: A `redis.asyncio.Redis` or `RedisCluster` of the application's own, with any
            settings. It is never closed here. It serves the event loop and the process that use it
            first; calls from another one raise UsageError. (`from_url` makes a client for each.)
        session_id: The session to be bound to; None to stand for all sessions.
        key_prefix: A session's key is this and its id ("agents:sessions:").
        ttl: Seconds after its last change until a session expires. None: no expiry is set.
        limit: How many items `get_items` returns at most by default; None for all.
        session_settings: The SDK's settings.
        **options: See `turnwise.connect.settings.Options`.

    Raises:
        InvalidKeyPrefix, InvalidTTL, InvalidSessionId, UsageError: An argument is invalid.
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
        """Sessions on the server that a URL names. Does no I/O yet.

        Takes the arguments of the class, and closes its own client in `aclose`.

        Args:
            url: See `connect` for the forms.

        Raises:
            InvalidURL: The URL is invalid, or names no Redis server.
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
        """The Redis client; with `from_url`, that of this event loop."""
        return self._redis.client

    def key(self, session_id: str | None = None) -> str:
        """The key that holds a session."""
        return self._redis.keys.session(self.resolve_id(session_id))

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
        worker = worker_name(options)
        limits = store_limits(options, ttl)
        self._redis = RedisStore(
            client,
            key_prefix=key_prefix,
            limits=limits,
            owned=another is not None,
            another=another,
            worker=worker,
        )
        Session.__init__(
            self,
            Runtime(self._redis, turn_settings(options), worker),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


class SQLiteSession(Session):
    """Sessions in one SQLite file, for any number of processes on one machine.

    Args:
        path: The file; it is made at first use, which raises StoreError if that fails.
        session_id: The session to be bound to; None to stand for all sessions.
        ttl: Seconds after its last change until a session expires; None for no expiry.
        limit: How many items `get_items` returns at most by default; None for all.
        session_settings: The SDK's settings.
        **options: See `turnwise.connect.settings.Options`.

    Raises:
        InvalidTTL, InvalidSessionId, UsageError: An argument is invalid.
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
        store = SQLiteStore(path, limits=store_limits(options, ttl))
        super().__init__(
            _runtime(store, options),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


class MemorySession(Session):
    """Sessions in this object's memory, for tests and first steps.

    Args:
        session_id: The session to be bound to; None to stand for all sessions.
        ttl: Seconds after its last change until a session expires; None for no expiry.
        limit: How many items `get_items` returns at most by default; None for all.
        session_settings: The SDK's settings.
        **options: See `turnwise.connect.settings.Options`.

    Raises:
        InvalidTTL, InvalidSessionId, UsageError: An argument is invalid.
    """

    def __init__(
        self,
        *,
        session_id: str | None = None,
        ttl: float | None = None,
        limit: int | None = None,
        session_settings: SDKSettings = None,
        **options: Unpack[Options],
    ) -> None:
        store = MemoryStore(limits=store_limits(options, ttl))
        super().__init__(
            _runtime(store, options),
            session_id=session_id,
            limit=limit,
            session_settings=session_settings,
        )


def _runtime(store: Store, options: Options) -> Runtime:
    return Runtime(store, turn_settings(options), worker_name(options))
