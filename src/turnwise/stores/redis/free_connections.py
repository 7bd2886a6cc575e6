"""Waiting for a free connection: a client that has none would refuse the command."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from redis.exceptions import MaxConnectionsError

from turnwise.process import EXITS, PerLoop
from turnwise.server_timeout import ServerTimeout

T = TypeVar("T")

_WAIT = 10.0
"""Seconds for which a command waits for a connection."""


class FreeConnections:
    """The connections that a client may open in each event loop: `count` of them.

    `disconnect` closes those of this event loop.
    """

    def __init__(self, count: int, disconnect: Callable[[], None]) -> None:
        self._free = PerLoop(lambda: asyncio.Semaphore(count))
        self._disconnect = disconnect

    async def use(self, send: Callable[[], Awaitable[T]]) -> T:
        """What `send` returns, which takes one connection. Callers get theirs in their order.

        Raises MaxConnectionsError if none becomes free.
        """
        free = self._free.get()
        if free.locked():
            await _wait(free)
        else:
            await free.acquire()
        try:
            return await send()
        except EXITS:
            # It may have struck between a command and its reply. The next command on that
            # connection, of another session, would be given that reply.
            self._disconnect()
            raise
        finally:
            free.release()


async def _wait(free: asyncio.Semaphore) -> None:
    try:
        async with ServerTimeout(_WAIT):
            await free.acquire()
    except TimeoutError:
        raise MaxConnectionsError from None
