"""A time limit for what a server does. It counts only time in which this process could notice.

Where the event loop is busy, answers lie unread in their sockets. To give one of these up, close
its connection and send again is more work for the same loop: soon every call fails.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

_STEPS = 20
"""The time is counted in so many steps; one that the event loop ends late counts as one."""


class ServerTimeout:
    """`async with ServerTimeout(5.0):` raises TimeoutError after 5 s of waiting; None: never."""

    def __init__(self, seconds: float | None) -> None:
        self._scope = asyncio.timeout(None)
        self._step = None if seconds is None else max(0.0, seconds) / _STEPS
        self._steps = 0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()
        self._next_step()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        await self._scope.__aexit__(kind, error, traceback)

    def _next_step(self) -> None:
        if self._step is None:
            return
        loop = asyncio.get_running_loop()
        if self._steps < _STEPS:
            self._steps += 1
            self._timer = loop.call_later(self._step, self._next_step)
        else:
            self._scope.reschedule(loop.time())
