"""Waiting for the end of a turn that another process runs: its events say when to look."""

from __future__ import annotations

import asyncio

from turnwise.turns.runtime import Runtime
from turnwise.types import Queued, Running

POLL_INTERVAL, MAX_POLL_INTERVAL = 1.0, 10.0
"""Seconds without an event after which the status is polled all the same: events can be lost.

They double from the first to the second: who waits so long has been silent for as long.
"""
_MIN_PAUSE = 0.02


class Backoff:
    """Pauses between polls: short at first, each twice as long, up to `POLL_INTERVAL`."""

    def __init__(self) -> None:
        self._next = _MIN_PAUSE

    @property
    def is_at_maximum(self) -> bool:
        """Whether the pauses have reached `POLL_INTERVAL`."""
        return self._next >= POLL_INTERVAL

    def reset(self) -> None:
        """Begin with short pauses again."""
        self._next = _MIN_PAUSE

    async def pause(self, most: float = POLL_INTERVAL) -> None:
        """Sleep for the next pause, at most `most` seconds."""
        await asyncio.sleep(min(self._next, most))
        self._next = min(2 * self._next, POLL_INTERVAL)


class TurnEndWaiter:
    """Follows a turn's events, to learn of its end."""

    def __init__(self, runtime: Runtime, session_id: str, turn_id: str) -> None:
        self._runtime = runtime
        self._names = session_id, turn_id
        self._after: str | None = None
        self._has_ended = False
        self._backoff = Backoff()
        self._patience = POLL_INTERVAL

    async def wait(self, timeout: float = MAX_POLL_INTERVAL) -> None:
        """Return when the events say that the turn has ended, or it is time to poll its status.

        That is after `timeout` seconds at most.
        """
        deadline = self._runtime.now() + min(timeout, self._patience)
        self._patience, ended = min(2 * self._patience, MAX_POLL_INTERVAL), False
        while not ended and (left := deadline - self._runtime.now()) > 0:
            found = await self._runtime.store.events.read(*self._names, self._after, left)
            if found.events or found.reset:
                self._after = found.events[-1].id if found.events else None
                self._backoff.reset()
                self._patience = POLL_INTERVAL
            ended = found.ended
        if ended and self._has_ended:
            # An earlier turn of this id has ended, whose dead letter was retried.
            await self._backoff.pause(max(0.0, deadline - self._runtime.now()))
        self._has_ended = ended


async def message_ended(runtime: Runtime, session_id: str, turn_id: str, timeout: float) -> None:
    """Return when no worker is to answer the message any more, or after `timeout` seconds."""
    waiter, deadline = TurnEndWaiter(runtime, session_id, turn_id), runtime.now() + timeout
    while True:
        status = await runtime.store.status(session_id, turn_id)
        unfinished = isinstance(status, Queued) or (
            isinstance(status, Running) and status.background
        )
        left = deadline - runtime.now()
        if not unfinished or left <= 0:
            return
        await waiter.wait(left)
