"""The lease as this worker knows it: renewed in time, or known to have run out."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


class Lease:
    """Calls `renew` every third of `length` seconds; it answers whether the lease still stands.

    It does so from `keep` on: a turn that could not be made whole is not kept alive.
    The lease is counted from before the call that was granted or renewed it was sent, so it ends
    here no later than in the store. `ended` is called when a renewal was refused, or with the
    error when the store did not answer until the end, however long the call may still be tried.
    """

    def __init__(
        self,
        length: float,
        start: float,
        renew: Callable[[], Awaitable[bool]],
        ended: Callable[[Exception | None], None],
    ) -> None:
        self._length = length
        self._end = start + length
        self._renew = renew
        self._ended = ended
        self.loop = asyncio.get_running_loop()
        self._heartbeat: asyncio.Task[None] | None = None
        self._stopped = False
        self._in_a_hurry = False
        self._timer: asyncio.TimerHandle | None = None

    def keep(self) -> None:
        """From now on it is renewed, until it is stopped or lost."""
        if not self._stopped:
            self._timer = self.loop.call_at(self._end - 2 * self._length / 3, self._beat)

    @property
    def overdue(self) -> bool:
        """Whether it has run out as far as this worker knows: the event loop stalled, say."""
        return self.loop.time() >= self._end

    async def renew(self) -> bool:
        """Renew it now; whether it stands."""
        sent = self.loop.time()
        stands = await self._renew()
        if stands:
            self._end = sent + self._length
        return stands

    def hurry(self) -> None:
        """Renew it in the background now: the store has something to say."""
        if self._stopped:
            return
        beat = self._heartbeat
        if beat is None or beat.done():
            self._cancel_timer()
            self._beat()
        else:  # which may have been answered before
            self._in_a_hurry = True

    def stop(self) -> None:
        """Renew it no more. A renewal on its way is called off."""
        self._stopped = True
        self._cancel_timer()
        beat = self._heartbeat
        if beat is not None and beat is not asyncio.current_task():
            beat.cancel()

    async def stopped(self) -> None:
        """Return when no renewal is on its way any more."""
        beat = self._heartbeat
        if beat is not None and beat is not asyncio.current_task() and not beat.done():
            await asyncio.wait({beat})

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _beat(self) -> None:
        self._heartbeat = self.loop.create_task(self._try(), name="turnwise-heartbeat")

    async def _try(self) -> None:
        pause = self._length / 3
        # An event loop that stalled until after the end still gets one real try.
        until = max(self._end, self.loop.time() + pause)
        try:
            async with asyncio.timeout_at(until):
                stands = await self.renew()
            if not stands:
                self._ended(None)
        except Exception as error:
            pause /= 4
            stalled = self.loop.time() > until + pause
            if self.overdue and not stalled and not self._stopped:
                self._ended(error)
        if self._in_a_hurry:
            pause = 0.0
        self._in_a_hurry = False
        if not self._stopped:
            self._timer = self.loop.call_later(pause, self._beat)
