"""What a worker works with."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable

from turnwise.cache import Cache
from turnwise.codec import Codec
from turnwise.contracts import Store
from turnwise.hooks import TurnEvent, emit
from turnwise.process import process_name
from turnwise.turns.errors import shown
from turnwise.turns.ids import mint
from turnwise.turns.reading import Reader
from turnwise.turns.settings import Settings
from turnwise.turns.writing import Writer

_log = logging.getLogger("turnwise")


def default_worker_name() -> str:
    """Host, process and a random part: tells operators who holds a lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{mint()[:6]}"


class Runtime:
    """The store, and the ways to read from it and to write to it."""

    def __init__(self, store: Store, settings: Settings, name: str) -> None:
        self.store = store
        self.settings = settings
        self._name = process_name(name)
        self.codec = Codec(compression=settings.compression)
        self.reader = Reader(store, self.codec, Cache(settings.cache_bytes))
        self.writer = Writer(self.codec, settings)

    @property
    def name(self) -> str:
        """This process's own; a forked child has another one than its parent."""
        return self._name.get()

    def now(self) -> float:
        """The event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()

    def emit(self, event: TurnEvent) -> None:
        if self.settings.hooks:
            emit(self.settings.hooks, event)

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        """End a turn with its journal, or leave the line.

        If the store does not answer, it ends by itself.
        """
        await self._leave(turn_id, self.store.abort(session_id, turn_id, token))

    async def release(
        self, session_id: str, turn_id: str, token: str, *, counted: bool = True
    ) -> None:
        """The same, but what the turn has in its journal stays for who sends it again."""
        await self._leave(turn_id, self.store.release(session_id, turn_id, token, counted=counted))

    async def _leave(self, turn_id: str, leaving: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self.settings.lease):
                await leaving
        except Exception as error:  # whatever it is, nobody renews the lease any more
            _log.warning("turn %r stays open until its lease runs out: %s", turn_id, shown(error))
