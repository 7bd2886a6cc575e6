"""What a store has open in each event loop: a client, and a subscription for wake-ups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from turnwise.process import Loop, PerLoop
from turnwise.stores.redis.clients import Client, Clients, close, hang_up
from turnwise.stores.redis.pubsub import Subscription, Subscriptions


class Connections:
    """Opened when a loop first needs them. `channel` answers the one that this process listens to.

    `another` makes further clients like `client`; without, that one serves one loop of one process.
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
            lambda: Subscription(self.clients.here(), channel()), Subscription.hang_up
        )
        self._owned = owned

    async def aclose(self, first: Callable[[], None]) -> None:
        """Close them here, and in other loops without waiting; `first` is called in each.

        The client is closed only if it is owned.
        """
        here = asyncio.get_running_loop()
        for loop in {*self.clients.loops(), *self.subscriptions.loops()} - {here}:
            if loop.is_running():
                asyncio.run_coroutine_threadsafe(self._close(loop, first), loop)
            else:
                self._hang_up(loop)
        await self._close(here, first)

    async def _close(self, loop: Loop, first: Callable[[], None]) -> None:
        first()
        if (subscription := self.subscriptions.pop(loop)) is not None:
            await subscription.aclose()
        if self._owned and (client := self.clients.pop(loop)) is not None:
            await close(client)

    def _hang_up(self, loop: Loop) -> None:
        if (subscription := self.subscriptions.pop(loop)) is not None:
            subscription.hang_up()
        if self._owned and (client := self.clients.pop(loop)) is not None:
            hang_up(client)
