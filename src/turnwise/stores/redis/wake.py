"""Wake-ups: one subscription a process, opened by the first waiter, closed after the last.

A release publishes the token of whoever is next to that worker's channel. A lost wake-up costs
time, never a turn: waiters ask again by themselves, sooner while the subscription does not stand.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster

from turnwise.stores.redis.clients import Client

_LINGER = 5.0
_UNRELIABLE = 0.25


class Subscription:
    """What a process hears on its own channel."""

    def __init__(self, client: Client, channel: str) -> None:
        self._client = client
        self._channel = channel
        self._waiting: dict[str, asyncio.Event] = {}
        self._reader: asyncio.Task[None] | None = None
        self._standing = asyncio.Event()
        self._failed = False

    @asynccontextmanager
    async def woken(self, token: str) -> AsyncIterator[TokenWake]:
        event = self._waiting[token] = asyncio.Event()
        try:
            await self._stand()
            yield TokenWake(self, event)
        finally:
            del self._waiting[token]

    @property
    def reliable(self) -> bool:
        return self._standing.is_set()

    async def aclose(self) -> None:
        reader, self._reader = self._reader, None
        if reader is not None and not reader.done():
            reader.cancel()
            await asyncio.wait({reader})

    async def _stand(self) -> None:
        """Start listening, and wait until it stands or is known not to."""
        if self._reader is None or self._reader.done():
            self._standing.clear()
            self._failed = False
            self._reader = asyncio.create_task(self._listen(), name="turnwise-wake")
        if not self._failed and not self._standing.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._standing.wait(), 1.0)

    async def _listen(self) -> None:
        while self._waiting:
            try:
                await self._listen_once()
            except Exception:
                # No right to the channel, or no connection: the waiters ask by themselves.
                self._failed = True
                self._standing.clear()
                self._wake_all()
                await asyncio.sleep(1.0)

    async def _listen_once(self) -> None:
        client = await _own_client(self._client)
        pubsub = client.pubsub()
        try:
            await pubsub.subscribe(self._channel)
            idle = False
            while self._waiting or not idle:
                message = await pubsub.get_message(timeout=_LINGER)
                idle = message is None
                if message is not None:
                    self._hear(message)
        finally:
            self._standing.clear()
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await client.aclose()

    def _hear(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._standing.set()
            self._wake_all()
        elif message["type"] == "message":
            data = message["data"]
            event = self._waiting.get(data if isinstance(data, str) else data.decode())
            if event is not None:
                event.set()

    def _wake_all(self) -> None:
        for event in self._waiting.values():
            event.set()


class TokenWake:
    """The wake-ups of one token."""

    def __init__(self, subscription: Subscription, event: asyncio.Event) -> None:
        self._subscription = subscription
        self._event = event

    async def wait(self, timeout: float) -> None:
        if not self._subscription.reliable:
            timeout = min(timeout, _UNRELIABLE)
        with suppress(TimeoutError):
            await asyncio.wait_for(self._event.wait(), timeout)
        self._event.clear()


async def _own_client(client: Client) -> Redis:
    """Where to subscribe: with the client's settings, on a connection that its pool does not count.

    A cluster passes messages on to every node, so any one will do.
    """
    pool: Any
    if isinstance(client, RedisCluster):
        await client.initialize()  # it knows no nodes before
        pool = client.get_random_node()
    else:
        pool = client.connection_pool
    own = ConnectionPool(connection_class=pool.connection_class, **pool.connection_kwargs)
    return Redis.from_pool(own)
