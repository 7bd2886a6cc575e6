"""The requests that wait for a turn, and what they are told when the server stops."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from turnwise.http.problems import ServerStopping


class Waits:
    """The requests of one process that wait. `end` sends them all away, and those that come later.

    `len` says how many there are.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Timeout] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._waiting)

    def end(self) -> None:
        """Let each raise ServerStopping, now."""
        self._ended = True
        now = asyncio.get_running_loop().time()
        for waiting in self._waiting:
            waiting.reschedule(now)

    @asynccontextmanager
    async def until_end(self, session_id: str) -> AsyncIterator[None]:
        """The block waits for a turn of this session.

        Raises:
            ServerStopping: `end` came first. The block is cancelled, and the turn goes on.
        """
        waiting = asyncio.timeout(0 if self._ended else None)
        try:
            async with waiting:
                self._waiting.add(waiting)
                yield
        except TimeoutError:
            if not waiting.expired():
                raise
            raise left_behind(session_id) from None
        finally:
            self._waiting.discard(waiting)


def left_behind(session_id: str | None = None) -> ServerStopping:
    """What is told to who waits for a turn, or follows one, when the server stops."""
    return ServerStopping(
        "this server stops; the turn goes on. Ask for it again, with the same id",
        session_id=session_id,
    )
