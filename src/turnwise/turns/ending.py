"""Waiting for the end of a turn that another process runs: its events tell when to look."""

from __future__ import annotations

import asyncio

from turnwise.turns.equipment import Equipment
from turnwise.types import Queued, Running

LOOK = 1.0
"""How long (s) nothing may be told before one looks all the same: events can be lost."""
_SOON = 0.02


class Pauses:
    """Between looks at what nobody tells of: short ones at first, each twice as long, to `LOOK`."""

    def __init__(self) -> None:
        self._next = _SOON

    @property
    def are_long(self) -> bool:
        """Whether it was waited for long enough to be sure."""
        return self._next >= LOOK

    def start_anew(self) -> None:
        self._next = _SOON

    async def pause(self, most: float = LOOK) -> None:
        await asyncio.sleep(min(self._next, most))
        self._next = min(2 * self._next, LOOK)


class Ending:
    """What one who waits knows of the turn's events."""

    def __init__(self, worker: Equipment, session_id: str, turn_id: str) -> None:
        self._worker = worker
        self._names = session_id, turn_id
        self._place: str | None = None
        self._pauses = Pauses()

    async def told(self, timeout: float = LOOK) -> None:
        """Return when the events have ended, or after `timeout` seconds."""
        until, ended = self._worker.now() + timeout, False
        while not ended and (left := until - self._worker.now()) > 0:
            told = await self._worker.store.events.read(*self._names, self._place, left)
            if told.events or told.reset:
                self._place = told.events[-1].id if told.events else None
                self._pauses.start_anew()
            ended = told.ended
        if ended:
            # It may have been told before, by a message that was dead and is tried again.
            await self._pauses.pause(max(0.0, until - self._worker.now()))


async def answered(worker: Equipment, session_id: str, turn_id: str, timeout: float) -> None:
    """Wait while the turn's message is in the queue: it waits, or a worker runs it."""
    ending, until = Ending(worker, session_id, turn_id), worker.now() + timeout
    while True:
        status = await worker.store.status(session_id, turn_id)
        on_its_way = isinstance(status, Queued) or (
            isinstance(status, Running) and status.background
        )
        left = until - worker.now()
        if not on_its_way or left <= 0:
            return
        await ending.told(min(left, LOOK))
