"""Waiter-ups: one subscription for each event loop of a process.

It is opened by whoever listens first, and closed after the last.

A release publishes the token of whoever is next to that worker's channel, a cancellation the token
of whoever is to stop. A lost wake-up costs time, never a turn: waiters ask again by themselves,
sooner while the subscription does not stand.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.client import PubSub
from redis.exceptions import NoPermissionError

from turnwise.process import PerLoop
from turnwise.stores.listeners import Callback, EventWaiter, Listeners
from turnwise.stores.redis.clients import Client, hang_up

_LINGER = 5.0
_UNRELIABLE = 0.25
_AGAIN, _RARELY = 1.0, 60.0
_log = logging.getLogger("turnwise")


class Channel:
    """What this process hears on one channel. It stands once the server said so."""

    def __init__(self) -> None:
        self.listeners = Listeners()
        self.standing = False
        self.used = time.monotonic()
        self._tried = asyncio.Event()

    def stand(self) -> None:
        """What was published before is not heard: whoever listens is to look once."""
        self.standing = True
        self._tried.set()
        self.listeners.call_all()

    def fall(self) -> None:
        self.standing = False
        self._tried.set()

    async def tried(self) -> None:
        """Wait until it stands or is known not to."""
        with suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await self._tried.wait()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody listens, or did a moment ago."""
        return bool(self.listeners) or time.monotonic() - self.used < _LINGER


class Subscription:
    """The channels that one event loop of this process hears, on one connection.

    `channel` is the worker's own, on which tokens are published.
    """

    def __init__(self, client: Client, channel: str) -> None:
        self._client = client
        self._own = channel
        self._channels: dict[str, Channel] = {}
        self._reader: asyncio.Task[None] | None = None
        self._pubsub: PubSub | None = None
        self._connected: Redis | None = None
        self._joining: set[asyncio.Task[None]] = set()
        self._no_right = 0.0

    @contextmanager
    def listen(self, token: str, callback: Callback, channel: str = "") -> Iterator[Channel]:
        """Call `callback` when this is published, once more when the subscription stands."""
        name = channel or self._own
        heard = self._channels.get(name)
        if heard is None:
            heard = self._channels[name] = Channel()
            self._join(name)
        try:
            with heard.listeners.listening(token, callback):
                self._start()
                yield heard
        finally:
            heard.used = time.monotonic()

    @asynccontextmanager
    async def waiter(self, token: str, channel: str = "") -> AsyncIterator[TokenWaiter]:
        wake = TokenWaiter()
        with self.listen(token, wake.event.set, channel) as heard:
            wake.channel = heard
            await heard.tried()
            wake.event.clear()
            yield wake

    async def aclose(self) -> None:
        reader, self._reader = self._reader, None
        tasks = {task for task in (reader, *self._joining) if task is not None and not task.done()}
        while tasks:  # a connection that is being made may swallow a cancellation
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=0.1)
        self._channels = {name: c for name, c in self._channels.items() if c.listeners}

    def hang_up(self) -> None:
        """Its event loop does not run any more."""
        if self._connected is not None:
            hang_up(self._connected)

    def _start(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._listen(), name="turnwise-wake")

    def _join(self, name: str) -> None:
        """Hear one channel more on the connection that stands."""
        if self._pubsub is not None:
            task = asyncio.create_task(self._subscribe(self._pubsub, name), name="turnwise-join")
            self._joining.add(task)
            task.add_done_callback(self._joining.discard)

    async def _subscribe(self, pubsub: PubSub, name: str) -> None:
        with suppress(Exception):  # the reader meets the same error, and begins anew
            await pubsub.subscribe(name)

    async def _listen(self) -> None:
        while self._channels:
            try:
                await self._listen_once()
            except Exception as error:
                # No right to the channel, or no connection: the waiters ask by themselves.
                refused = isinstance(error, NoPermissionError)
                await asyncio.sleep(self._refused() if refused else _AGAIN)
                self._drop_unwanted()

    def _refused(self) -> float:
        """There is no right to a channel: say it once, and try again later and later."""
        if not self._no_right:
            _log.warning(
                "no right to subscribe to the channels of Turnwise, so wake-ups are not heard and "
                "waiting takes longer: give the user &%s* and +subscribe",
                self._own.partition("}")[0].removesuffix("wake"),
            )
        self._no_right = min(_RARELY, max(_AGAIN, 2 * self._no_right))
        return self._no_right

    async def _listen_once(self) -> None:
        client = self._connected = await _own_client(self._client)
        pubsub = client.pubsub()
        try:
            known = tuple(self._channels)
            await pubsub.subscribe(*known)
            self._pubsub = pubsub
            if missed := [name for name in self._channels if name not in known]:
                await pubsub.subscribe(*missed)
            looked = time.monotonic()
            while self._channels:
                message = await pubsub.get_message(timeout=_LINGER)
                if message is not None:
                    self._hear(message)
                if time.monotonic() - looked >= _LINGER:
                    looked = time.monotonic()
                    if dropped := self._drop_unwanted():
                        await pubsub.unsubscribe(*dropped)
        finally:
            self._pubsub = None
            for channel in self._channels.values():
                channel.fall()
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await client.aclose()

    def _drop_unwanted(self) -> list[str]:
        dropped = [name for name, channel in self._channels.items() if not channel.is_wanted]
        for name in dropped:
            del self._channels[name]
        return dropped

    def _hear(self, message: dict[str, Any]) -> None:
        channel = self._channels.get(_text(message["channel"]))
        if channel is None:
            return
        if message["type"] == "subscribe":
            self._no_right = 0.0
            channel.stand()
        elif message["type"] == "message":
            channel.listeners.call(_text(message["data"]))


Subscriptions = PerLoop[Subscription]


class TokenWaiter(EventWaiter):
    """The wake-ups of one token; a wait is short while they may be missed."""

    channel: Channel

    def __init__(self) -> None:
        super().__init__(longest=float("inf"))

    async def wait(self, timeout: float) -> None:
        if not self.channel.standing:
            timeout = min(timeout, _UNRELIABLE)
        await super().wait(timeout)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


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
