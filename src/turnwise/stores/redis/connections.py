"""What a store opens in each event loop: a client, and a subscription for wake-ups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from turnwise.process import Loop, PerLoop
from turnwise.stores.redis.clients import (
    Client,
    Clients,
    close,
    disconnect,
    reconnect,
    shut_down,
)
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
            lambda: Subscription(self.clients.get(), channel()), Subscription.disconnect
        )
        self._owned = owned

    async def reconnect(self) -> None:
        """Replace this event loop's connections, which may lead to the wrong server."""
        self.subscriptions.get().reconnect()
        await reconnect(self.clients.get())

    async def aclose(self, before: Callable[[], None]) -> None:
        """Close what every loop has opened; `before` is called first in each.

        Other loops disconnect without being waited for, a stopped one when it runs again. Its
        sockets are shut down at once.
        """
        current = asyncio.get_running_loop()
        for loop in {*self.clients.loops(), *self.subscriptions.loops()} - {current}:
            opened = self._pop(loop)
            try:
                loop.call_soon_threadsafe(before)
                loop.call_soon_threadsafe(opened.disconnect)
            except RuntimeError:  # the loop is closed
                opened.disconnect()
            else:
                if not loop.is_running():
                    opened.shut_down()
        before()
        await self._pop(current).aclose()

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

    def disconnect(self) -> None:
        if self.subscription is not None:
            self.subscription.disconnect()
        if self.client is not None:
            disconnect(self.client)
