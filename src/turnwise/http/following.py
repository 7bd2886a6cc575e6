"""Many follow a turn, one reads: a process reads a turn's events from the store once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing, asynccontextmanager
from itertools import islice
from typing import Any, cast

from turnwise.background import Receipt

Event = Mapping[str, Any]
"""An event of `Receipt.events`. Its readers share it, and do not change it."""

WINDOW = 512
"""How many of a turn's last events a process keeps while somebody follows it."""


class Following:
    """Lets many readers follow turns.

    What one of them reads from the store, all who are there get. Who comes late, or reads so slowly
    that an event has left the window, reads from the store by itself until it has caught up.
    """

    def __init__(self) -> None:
        self._feeds: dict[tuple[str | None, str, str], _Feed] = {}

    async def follow(
        self, receipt: Receipt, after: str | None = None
    ) -> AsyncIterator[tuple[str, Event]]:
        """As `Receipt.events`."""
        async with self._feed(receipt, after or None) as feed:
            cursor, place = after or None, feed.place(after or None)
            while True:
                if place is None:
                    async with aclosing(cast(Any, receipt.events(cursor))) as events:
                        async for event_id, event in events:
                            yield event_id, event
                            cursor = event_id or None
                            if cursor is not None and (place := feed.place(cursor)) is not None:
                                break
                            feed.pull()
                        else:
                            return
                elif (found := await feed.next(place)) is not None:
                    yield found
                    cursor, place = found[0] or None, place + 1
                elif feed.is_over(place):
                    return
                else:
                    place = None

    @asynccontextmanager
    async def _feed(self, receipt: Receipt, after: str | None) -> AsyncIterator[_Feed]:
        """What somebody who follows shares with the others."""
        # The store answers each owner for themselves: nobody joins what another one may read.
        names = receipt.runtime.owner, receipt.session_id, receipt.turn_id
        feed = self._feeds.get(names)
        if feed is None or feed.is_done:
            feed = self._feeds[names] = _Feed(receipt, after)
        feed.followers += 1
        try:
            yield feed
        finally:
            feed.followers -= 1
            if not feed.followers:
                if self._feeds.get(names) is feed:
                    del self._feeds[names]
                await feed.close()


class _Feed:
    """Reads one turn's events, and keeps the last of them, each in its place: 0, 1, 2 …

    Attributes:
        followers: How many share it.
        is_done: Whether it reads no more.
    """

    def __init__(self, receipt: Receipt, after: str | None) -> None:
        self.followers = 0
        self._kept: dict[int, tuple[str, Event]] = {}
        self._end = 0
        self._places: dict[str | None, int] = {after: 0}
        """Which place follows an event. Under None: where the turn's events begin."""
        self._wanted = 0
        """The place of the fastest follower. It reads no further ahead than a window."""
        self._more = asyncio.Event()
        self._news = asyncio.Event()
        self._error: Exception | None = None
        self.is_done = False
        self._reading = asyncio.create_task(self._read(receipt, after), name="turnwise-following")

    def place(self, after: str | None) -> int | None:
        """Where an event's follower goes on; None if the store has to be asked."""
        return self._places.get(after)

    async def next(self, place: int) -> tuple[str, Event] | None:
        """The event at this place, as soon as there is one.

        None if there is none any more, or if none follows.
        """
        self.pull(place)
        while place == self._end and not self.is_done:
            await self._news.wait()
        if place == self._end and self._error is not None:
            raise self._error.with_traceback(None)
        return self._kept.get(place)

    def pull(self, place: int | None = None) -> None:
        """Somebody is at this place; None: somewhere else, and wants to catch up, or be met."""
        place = self._end if place is None else place
        if place > self._wanted:
            self._wanted = place
            self._more.set()

    def is_over(self, place: int) -> bool:
        """Whether all events before this place are all the turn's events."""
        return place == self._end and self.is_done

    async def close(self) -> None:
        """Nobody follows any more."""
        self._reading.cancel()
        await asyncio.wait({self._reading})

    async def _read(self, receipt: Receipt, after: str | None) -> None:
        try:
            async with aclosing(cast(Any, receipt.events(after))) as events:
                async for event_id, event in events:
                    self._keep(event_id, event)
                    while self._end >= self._wanted + WINDOW:
                        self._more.clear()
                        await self._more.wait()
        except Exception as error:
            self._error = error
        finally:
            self.is_done = True
            self._wake()

    def _keep(self, event_id: str, event: Event) -> None:
        self._kept[self._end] = event_id, event
        self._end += 1
        if event_id:
            self._places[event_id] = self._end
        else:  # a reset: whoever named an event before it has to be told
            self._places = {None: self._end}
        dropped = self._end - WINDOW - 1
        if dropped >= 0:
            self._forget(dropped)
        self._wake()

    def _forget(self, place: int) -> None:
        """Drop an event. The oldest of `_places` come first; at most two lead to one event."""
        del self._kept[place]
        for event_id, behind in list(islice(self._places.items(), 2)):
            if behind <= place:
                del self._places[event_id]

    def _wake(self) -> None:
        news, self._news = self._news, asyncio.Event()
        news.set()
