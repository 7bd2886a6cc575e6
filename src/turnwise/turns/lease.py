"""The lease as this worker knows it: renewed in time, or known to have expired."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractContextManager

from turnwise.contracts import Store
from turnwise.server_timeout import ServerTimeout


class Lease:
    """Calls `renew` every third of `length` seconds; it returns whether the lease is still held.

    It does so from `keep` on: a turn that could not be opened is not kept alive.
    The lease counts from before the call was sent that granted or renewed it, so it expires here
    no later than in the store. `ended` is called when a renewal was refused, or with the error when
    the store did not answer until the lease expired, however long the call may still be retried.
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
        self._renew_again = False
        self._timer: asyncio.TimerHandle | None = None

    def keep(self) -> None:
        """Renew it from now on, until it is stopped or lost."""
        if not self._stopped:
            self._timer = self.loop.call_at(self._end - 2 * self._length / 3, self._beat)

    @property
    def is_kept(self) -> bool:
        """Whether it is still renewed."""
        return not self._stopped

    @property
    def expired(self) -> bool:
        """Whether it has expired as far as this worker knows: the event loop stalled, say."""
        return self.loop.time() >= self._end

    async def renew(self) -> bool:
        """Renew it now; whether it is still held."""
        sent = self.loop.time()
        held = await self._renew()
        if held:
            self._end = sent + self._length
        return held

    def renew_soon(self) -> None:
        """Renew it in the background now, to read what the store has to say."""
        if self._stopped:
            return
        beat = self._heartbeat
        if beat is None or beat.done():
            if self._timer is not None:
                self._timer.cancel()
            self._beat()
        else:  # the store may have answered that one before
            self._renew_again = True

    def stop(self) -> None:
        """Renew it no more. A renewal on its way is cancelled."""
        self._stopped = True
        if self._timer is not None:
            self._timer.cancel()
        beat = self._heartbeat
        if beat is not None and beat is not asyncio.current_task():
            beat.cancel()

    async def stopped(self) -> None:
        """Return when no renewal is on its way any more."""
        beat = self._heartbeat
        if beat is not None and beat is not asyncio.current_task() and not beat.done():
            await asyncio.wait({beat})

    def _beat(self) -> None:
        self._heartbeat = self.loop.create_task(self._try(), name="turnwise-heartbeat")

    async def _try(self) -> None:
        pause = self._length / 3
        deadline = self._attempt_ends(pause)
        try:
            async with ServerTimeout(deadline - self.loop.time()):
                held = await self.renew()
            if held:  # a third of a lease after this one was sent, however late its answer was
                pause = max(0.0, self._end - 2 * pause - self.loop.time())
            else:
                self._ended(None)
        except Exception as error:
            pause /= 4
            stalled = self.loop.time() > deadline + pause
            if self.expired and not stalled and not self._stopped:
                self._ended(error)
        if self._renew_again:
            pause = 0.0
        self._renew_again = False
        if not self._stopped:
            self._timer = self.loop.call_later(pause, self._beat)

    def _attempt_ends(self, pause: float) -> float:
        """Until when a renewal that begins now waits for the store."""
        now = self.loop.time()
        if self.expired and self._timer is not None and now > self._timer.when() + pause:
            # The event loop stalled. The lease may still be ours, and only the store knows: it has
            # the time of a whole lease to say so.
            return now + self._length
        return max(self._end, now + pause)


class CancelListener:
    """Listens for the wake-up that a cancel sends, from before the lease is asked for.

    `woken`: a wake-up came since it was last set to False, before anybody was to be called.
    """

    def __init__(self, store: Store, token: str) -> None:
        self.woken = False
        self._callback: Callable[[], None] | None = None
        # Entered by hand: each turn has one, and an ExitStack costs as much as what it holds.
        self._listening: AbstractContextManager[object] | None = store.on_wakeup(token, self._wake)
        self._listening.__enter__()

    def call(self, callback: Callable[[], None]) -> None:
        """Call this on each wake-up from now on, and now if one came before."""
        self._callback = callback
        if self.woken:
            callback()

    def close(self) -> None:
        """Stop listening."""
        self._callback = None
        listening, self._listening = self._listening, None
        if listening is not None:
            listening.__exit__(None, None, None)

    def _wake(self) -> None:
        self.woken = True
        if self._callback is not None:
            self._callback()
