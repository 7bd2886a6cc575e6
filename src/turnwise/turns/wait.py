"""Waiting for the end of a turn that another process runs: its events tell when to look."""

from __future__ import annotations

import asyncio

from turnwise.turns.runtime import Runtime
from turnwise.types import Queued, Running

POLL_INTERVAL = 1.0
"""How long (s) nothing may be told before one looks all the same: events can be lost."""
_SOON = 0.02


class Backoff:
    """Pauses between polls: short at first, each twice as long, up to `POLL_INTERVAL`."""

    def __init__(self) -> None:
        self._next = _SOON

    @property
    def are_long(self) -> bool:
        """Whether it was waited for long enough to be sure."""
        return self._next >= POLL_INTERVAL

    def start_anew(self) -> None:
        self._next = _SOON

    async def pause(self, most: float = POLL_INTERVAL) -> None:
        await asyncio.sleep(min(self._next, most))
        self._next = min(2 * self._next, POLL_INTERVAL)


class TurnEndWaiter:
    """What one who waits knows of the turn's events."""

    def __init__(self, runtime: Runtime, session_id: str, turn_id: str) -> None:
        self._runtime = runtime
        self._names = session_id, turn_id
        self._place: str | None = None
        self._pauses = Backoff()

    async def told(self, timeout: float = POLL_INTERVAL) -> None:
        """Return when the events have ended, or after `timeout` seconds."""
        until, ended = self._runtime.now() + timeout, False
        while not ended and (left := until - self._runtime.now()) > 0:
            told = await self._runtime.store.events.read(*self._names, self._place, left)
            if told.events or told.reset:
                self._place = told.events[-1].id if told.events else None
                self._pauses.start_anew()
            ended = told.ended
        if ended:
            # It may have been told before, by a message that was dead and is tried again.
            await self._pauses.pause(max(0.0, until - self._runtime.now()))


async def answered(runtime: Runtime, session_id: str, turn_id: str, timeout: float) -> None:
    """Wait while the turn's message is in the queue: it waits, or a worker runs it."""
    ending, until = TurnEndWaiter(runtime, session_id, turn_id), runtime.now() + timeout
    while True:
        status = await runtime.store.status(session_id, turn_id)
        on_its_way = isinstance(status, Queued) or (
            isinstance(status, Running) and status.background
        )
        left = until - runtime.now()
        if not on_its_way or left <= 0:
            return
        await ending.told(min(left, POLL_INTERVAL))
