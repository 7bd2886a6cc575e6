"""Wake-ups over pub/sub: one connection for each event loop, opened by its first listener.

Whoever releases a session publishes the token of the head of its queue to that worker's channel; a
cancel publishes the token of the turn. A lost wake-up costs time, never a turn: waiters also ask by
themselves, and more often while there is no subscription.
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
from turnwise.stores.redis.clients import Client, disconnect, shut_down

_LINGER = 5.0
"""Seconds for which a channel stays subscribed after its last listener."""
_PING_AFTER, _LOST_AFTER = 15.0, 20.0
"""Seconds without a word from the server: it is asked for one, the connection is taken for lost."""
_WAIT_UNSUBSCRIBED = 0.25
"""The longest wait, in seconds, of a waiter whose channel is not subscribed."""
_WAIT_FOR_SUBSCRIPTION = 1.0
_RETRY, _RETRY_REFUSED_MAX = 1.0, 60.0
_log = logging.getLogger("turnwise")


class Channel:
    """One channel, and who in this event loop listens to it."""

    def __init__(self) -> None:
        self.listeners = Listeners()
        self.subscribed = False
        self.last_used = time.monotonic()
        self._tried = asyncio.Event()

    def on_subscribed(self) -> None:
        """Wake all listeners: what was published before was missed."""
        self.subscribed = True
        self._tried.set()
        self.listeners.wake_all()

    def on_lost(self) -> None:
        self.subscribed = False
        self._tried.set()

    async def tried(self) -> None:
        """Wait until it is subscribed, or that failed, or a second is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_WAIT_FOR_SUBSCRIPTION):
                await self._tried.wait()

    @property
    def in_use(self) -> bool:
        """Whether anybody listens, or did a moment ago."""
        return bool(self.listeners) or time.monotonic() - self.last_used < _LINGER


class Subscription:
    """The channels that one event loop listens to, on one connection.

    `own_channel` is the worker's, to which tokens are published.
    """

    def __init__(self, client: Client, own_channel: str) -> None:
        self._client = client
        self._own_channel = own_channel
        self._channels: dict[str, Channel] = {}
        self._reader: asyncio.Task[None] | None = None
        self._pubsub: PubSub | None = None
        self._dedicated_client: Redis | None = None
        self._subscribing: set[asyncio.Task[None]] = set()
        self._refused_pause = 0.0

    @contextmanager
    def listen(self, token: str, callback: Callback, channel: str = "") -> Iterator[Channel]:
        """Call `callback` when the token is published, and once when the subscription begins.

        `channel` is the worker's own by default.
        """
        name = channel or self._own_channel
        known = self._channels.get(name)
        if known is None:
            known = self._channels[name] = Channel()
            self._subscribe_soon(name)
        try:
            with known.listeners.listening(token, callback):
                self._start_reader()
                yield known
        finally:
            known.last_used = time.monotonic()

    @asynccontextmanager
    async def waiter(self, token: str) -> AsyncIterator[ChannelWaiter]:
        """A waiter for a token, subscribed before the block begins, if that works."""
        waiter = ChannelWaiter()
        with self.listen(token, waiter.event.set) as waiter.channel:
            await waiter.channel.tried()
            waiter.event.clear()
            yield waiter

    @contextmanager
    def channel_waiter(self, channel: str) -> Iterator[ChannelWaiter]:
        """A waiter for the empty token on another channel, subscribed while the block runs."""
        waiter = ChannelWaiter()
        with self.listen("", waiter.event.set, channel) as waiter.channel:
            yield waiter

    async def aclose(self) -> None:
        """End the connection. The next listener opens another one."""
        reader, self._reader = self._reader, None
        tasks = {task for task in (reader, *self._subscribing) if task and not task.done()}
        while tasks:  # a connection that is being made may swallow a cancellation
            for task in tasks:
                task.cancel()
            _, tasks = await asyncio.wait(tasks, timeout=0.1)
        self._channels = {name: c for name, c in self._channels.items() if c.listeners}

    def reconnect(self) -> None:
        """Open another connection: this one may lead to a server that publishes nothing."""
        if self._pubsub is not None and self._dedicated_client is not None:
            disconnect(self._dedicated_client)

    def shut_down(self) -> None:
        """Shut the connection down from outside its event loop: that loop does not run."""
        if self._dedicated_client is not None:
            shut_down(self._dedicated_client)

    def disconnect(self) -> None:
        """Close the connection without waiting, in its event loop or after that is closed."""
        self._channels = {}
        for task in (self._reader, *self._subscribing):
            if task is not None and not task.get_loop().is_closed():
                task.cancel()
        if self._dedicated_client is not None:
            disconnect(self._dedicated_client)

    def _start_reader(self) -> None:
        if self._reader is None or self._reader.done():
            self._reader = asyncio.create_task(self._read(), name="turnwise-pubsub")

    def _subscribe_soon(self, name: str) -> None:
        """Subscribe to one more channel on the connection, if there is one."""
        if self._pubsub is not None:
            subscribing = self._subscribe(self._pubsub, name)
            task = asyncio.create_task(subscribing, name="turnwise-pubsub-subscribe")
            self._subscribing.add(task)
            task.add_done_callback(self._subscribing.discard)

    async def _subscribe(self, pubsub: PubSub, name: str) -> None:
        with suppress(Exception):  # the reader gets the same error, and connects again
            await pubsub.subscribe(name)

    async def _read(self) -> None:
        while self._channels:
            try:
                await self._read_connection()
            except Exception as error:
                # No permission for the channel, or no connection: waiters ask by themselves.
                refused = isinstance(error, NoPermissionError)
                await asyncio.sleep(self._pause_refused() if refused else _RETRY)
                self._drop_unused()

    def _pause_refused(self) -> float:
        """Log a missing permission once, and try again less and less often."""
        if not self._refused_pause:
            _log.warning(
                "no permission to subscribe to Turnwise's channels: waiting callers ask the "
                "server by themselves, which takes longer. Give the user &%s* and +subscribe",
                self._own_channel.partition("}")[0].removesuffix("wake"),
            )
        self._refused_pause = min(_RETRY_REFUSED_MAX, max(_RETRY, 2 * self._refused_pause))
        return self._refused_pause

    async def _read_connection(self) -> None:
        client = self._dedicated_client = await dedicated_client(self._client)
        pubsub = client.pubsub()
        try:
            known = tuple(self._channels)
            await pubsub.subscribe(*known)
            self._pubsub = pubsub
            if added := [name for name in self._channels if name not in known]:
                await pubsub.subscribe(*added)
            await self._read_messages(pubsub)
        finally:
            self._pubsub = None
            for channel in self._channels.values():
                channel.on_lost()
            await pubsub.aclose()  # type: ignore[no-untyped-call]  # redis-py leaves it untyped
            await client.aclose()

    async def _read_messages(self, pubsub: PubSub) -> None:
        """Until no channel is used any more. Raises TimeoutError if the server is silent."""
        checked = heard = time.monotonic()
        while self._channels:
            message = await pubsub.get_message(timeout=min(_LINGER, _PING_AFTER))
            now = time.monotonic()
            if message is not None:
                heard = now
                self._handle(message)
            elif now - heard >= _LOST_AFTER:
                raise TimeoutError("the connection was dropped, and nobody was told")
            elif now - heard >= _PING_AFTER:
                await pubsub.ping()
            if now - checked >= _LINGER:
                checked = now
                if dropped := self._drop_unused():
                    await pubsub.unsubscribe(*dropped)

    def _drop_unused(self) -> list[str]:
        dropped = [name for name, channel in self._channels.items() if not channel.in_use]
        for name in dropped:
            del self._channels[name]
        return dropped

    def _handle(self, message: dict[str, Any]) -> None:
        if message["type"] == "pong":
            return
        channel = self._channels.get(_text(message["channel"]))
        if channel is None:
            return
        if message["type"] == "subscribe":
            self._refused_pause = 0.0
            channel.on_subscribed()
        elif message["type"] == "message":
            channel.listeners.wake(_text(message["data"]))


Subscriptions = PerLoop[Subscription]


class ChannelWaiter(EventWaiter):
    """Waits for wake-ups from a channel; only briefly while they may be missed."""

    channel: Channel

    def __init__(self) -> None:
        super().__init__(max_wait=float("inf"))

    async def wait(self, timeout: float) -> None:
        if not self.channel.subscribed:
            timeout = min(timeout, _WAIT_UNSUBSCRIBED)
        await super().wait(timeout)


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode()


async def dedicated_client(client: Client) -> Redis:
    """A client with the same settings, on a connection that the given client's pool does not count.

    A cluster passes published messages on to every node, so any node will do.
    """
    pool: Any
    if isinstance(client, RedisCluster):
        await client.initialize()  # it knows no nodes before
        pool = client.get_random_node()
    else:
        pool = client.connection_pool
    # redis-py's health check would send a PING, and never miss the answer.
    settings = {**pool.connection_kwargs, "health_check_interval": 0}
    own = ConnectionPool(connection_class=pool.connection_class, **settings)
    return Redis.from_pool(own)
