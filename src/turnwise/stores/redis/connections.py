"""What a store opens in each event loop: a client, and a subscription for wake-ups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from turnwise.process import Loop, PerLoop
from turnwise.stores.redis.clients import Client, Clients, close, discard, shut_down
from turnwise.stores.redis.pubsub import Subscription, Subscriptions


class Connections:
    """The clients and subscriptions of all event loops, each opened on first use.

    Args:
        client: the first loop's.
        another: makes further clients like `client`. Without it, `client` is the only one.
        channel: returns the channel that this process subscribes to.
        owned: whether `aclose` closes the clients too.
    """

    def __init__(
        self,
        client: Client,
        another: Callable[[], Client] | None,
        channel: Callable[[], str],
        *,
        owned: bool,
    ) -> None:
        self.clients = Clients(client, another)
        self.subscriptions: Subscriptions = PerLoop(
            lambda: Subscription(self.clients.get(), channel()), Subscription.discard
        )
        self._owned = owned
        self._closing: set[asyncio.Task[None]] = set()

    async def aclose(self, before: Callable[[], None]) -> None:
        """Close what every loop has; `before` is called first in each loop.

        Only the running loop is waited for. Another one closes its connections itself, a stopped
        one when it runs again; the sockets of a stopped or closed loop are shut down at once.
        """
        current = asyncio.get_running_loop()
        for loop in {*self.clients.loops(), *self.subscriptions.loops()} - {current}:
            opened = self._pop(loop)
            try:
                loop.call_soon_threadsafe(self._close_soon, before, opened)
            except RuntimeError:  # the loop is closed
                opened.discard()
            else:
                if not loop.is_running():
                    opened.shut_down()
        before()
        await self._pop(current).aclose()

    def _close_soon(self, before: Callable[[], None], opened: _Opened) -> None:
        before()
        task = asyncio.create_task(opened.aclose(), name="turnwise-close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    def _pop(self, loop: Loop) -> _Opened:
        subscription = self.subscriptions.pop(loop)
        return _Opened(subscription, self.clients.pop(loop) if self._owned else None)


@dataclass(frozen=True)
class _Opened:
    """What one event loop has opened, for closing."""

    subscription: Subscription | None
    client: Client | None

    async def aclose(self) -> None:
        if self.subscription is not None:
            await self.subscription.aclose()
        if self.client is not None:
            await close(self.client)

    def shut_down(self) -> None:
        if self.subscription is not None:
            self.subscription.shut_down()
        if self.client is not None:
            shut_down(self.client)

    def discard(self) -> None:
        if self.subscription is not None:
            self.subscription.discard()
        if self.client is not None:
            discard(self.client)
