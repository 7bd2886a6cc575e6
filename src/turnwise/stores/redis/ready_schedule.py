"""Which ready streams a worker looks at next, and which of its requeued entries are delayed."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from heapq import heappop, heappush

from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.pubsub import Channel, Subscription

_LOOK_INTERVAL, _LOOK_INTERVAL_UNSUBSCRIBED = 1.0, 0.25
_MAX_DELAY_UNSUBSCRIBED = 1.0
"""The longest delay of a requeued entry, in seconds, while no wake-up can end it sooner."""
_FAILED_PAUSE = 10.0
"""For how many seconds a stream whose node did not answer comes after the others."""


class ReadySchedule:
    """Which streams to look at next: those that were published, and each one every second."""

    def __init__(self, subscription: Subscription, keys: Keys) -> None:
        self._subscription = subscription
        self._channel_name = keys.ready_channel
        self._all = set(range(len(keys.ready)))
        self._now: set[int] = set()
        self._order = list(self._all)
        self._failed: dict[int, float] = {}
        self._requeued: dict[str, _Requeued] = {}
        self._dues: list[tuple[float, str]] = []
        self._claimable: list[DelayedEntry] = []
        self._event = asyncio.Event()
        self._looked_at_all = 0.0
        self._listening = ExitStack()
        self._channel: Channel | None = None

    def add(self, shard: int) -> None:
        self._now.add(shard)
        self._event.set()

    def possible_delay(self, delay_ms: int) -> int:
        """The delay, or less while nothing tells of a session that gets free before its end."""
        return delay_ms if self._subscribed else min(delay_ms, int(1000 * _MAX_DELAY_UNSUBSCRIBED))

    def requeued(self, key: str, entry: DelayedEntry, delay: float) -> None:
        """While an entry is delayed, listen for the release of its session."""
        requeued = self._requeued.get(key)
        if requeued is None:
            requeued = self._requeued[key] = _Requeued()
            if self._channel is not None:
                listening = self._channel.listeners.listening(key, partial(self.end_delay, key))
                requeued.listening.enter_context(listening)
        requeued.due = max(requeued.due, time.monotonic() + delay)
        requeued.entries.append(entry)
        heappush(self._dues, (requeued.due, key))
        self._event.set()

    def end_delay(self, key: str) -> None:
        """The session's delayed entries, if there are any, can be claimed from now on."""
        if (requeued := self._requeued.pop(key, None)) is None:
            return
        requeued.listening.close()
        self._claimable += requeued.entries
        self._event.set()

    def take_claimable(self) -> list[DelayedEntry]:
        """The delayed entries whose delay is over, or whose session was released; each once."""
        now = time.monotonic()
        while self._dues and self._dues[0][0] <= now:
            due, key = heappop(self._dues)
            requeued = self._requeued.get(key)
            if requeued is not None and requeued.due <= due:
                self.end_delay(key)
        taken, self._claimable = self._claimable, []
        return taken

    def still_delayed(self, entries: Sequence[DelayedEntry]) -> None:
        """These were taken, and their delay could not be ended: they are taken again."""
        self._claimable += entries

    def take_shards(self, *, all_of_them: bool) -> list[int]:
        """The streams to look at now, first the one that was looked at the longest time ago.

        Those whose node did not answer come last: others' messages do not wait for it each time.
        """
        self._listen()
        now = time.monotonic()
        if all_of_them or now - self._looked_at_all >= self._interval:
            self._looked_at_all = now
            self._now |= self._all
        shards, self._now = self._now, set()
        self._event.clear()
        return sorted((shard for shard in self._order if shard in shards), key=self.has_failed)

    def looked_at(self, shard: int) -> None:
        """So that a stream with many entries does not keep the others from being looked at."""
        self._failed.pop(shard, None)
        self._order.remove(shard)
        self._order.append(shard)

    def failed(self, shard: int) -> None:
        """Its node did not answer."""
        self._failed[shard] = time.monotonic()
        self.add(shard)

    def has_failed(self, shard: int) -> bool:
        """Whether its node did not answer a moment ago."""
        return time.monotonic() - self._failed.get(shard, -math.inf) < _FAILED_PAUSE

    async def wait(self, timeout: float) -> None:
        now = time.monotonic()
        dues = [due - now for due, _ in self._dues[:1]]
        timeout = min(timeout, self._looked_at_all + self._interval - now, *dues)
        try:
            async with asyncio.timeout(max(0.001, timeout)):
                await self._event.wait()
        except TimeoutError:
            return

    @property
    def _interval(self) -> float:
        return _LOOK_INTERVAL if self._subscribed else _LOOK_INTERVAL_UNSUBSCRIBED

    @property
    def _subscribed(self) -> bool:
        return self._channel is not None and self._channel.subscribed

    def _listen(self) -> None:
        if self._channel is None:
            for shard in self._all:
                listening = self._subscription.listen(
                    str(shard), partial(self.add, shard), self._channel_name
                )
                self._channel = self._listening.enter_context(listening)

    def close(self) -> None:
        self._channel = None
        for requeued in self._requeued.values():
            requeued.listening.close()
        self._requeued.clear()
        self._dues.clear()
        self._listening.close()


@dataclass(frozen=True)
class DelayedEntry:
    """A requeued entry, and for whom it is pending: NOBODY, or a worker that extends it."""

    id: str
    holder: str


@dataclass
class _Requeued:
    """The delayed entries of one session, and until when its release is listened for."""

    due: float = 0.0
    entries: list[DelayedEntry] = field(default_factory=list)
    listening: ExitStack = field(default_factory=ExitStack)
