"""Many who follow a turn, in one process: the store is read once, and nobody waits for another."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, cast

import pytest

from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.background import Receipt
from turnwise.errors import SessionGone, StoreUnavailable
from turnwise.http import following
from turnwise.http.following import Following
from turnwise.session import Session
from turnwise.stores.event_log import PAGE
from turnwise.testing.servers.waiting import until
from turnwise.types import Events

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
Seen = list[tuple[str, Any]]


class Turn:
    """A submitted turn of which a test writes the events."""

    def __init__(self, session: Session, receipt: Receipt) -> None:
        self.receipt = receipt
        self.reads = 0
        self.following = Following()
        self._runtime = session.runtime
        self._read = session.runtime.store.events.read
        session.runtime.store.events.read = self._counted  # type: ignore[method-assign]  # a spy

    async def _counted(self, *args: Any, **named: Any) -> Events:
        self.reads += 1
        return await self._read(*args, **named)

    async def emit(self, first: int, count: int, attempt: int = 1, *, last: bool = False) -> None:
        """Append events with these numbers."""
        numbers = range(first, first + count)
        encode, names = self._runtime.codec.encode, (self.receipt.session_id, self.receipt.turn_id)
        events = [encode({"type": "raw_response_event", "data": {"n": n}}) for n in numbers]
        await self._runtime.store.events.append(*names, attempt, first, events, last=last)

    async def follow(self, after: str | None = None, until: str = "") -> Seen:
        """What a reader gets until this event, or until the end."""
        seen: Seen = []
        async with aclosing(cast(Any, self.following.follow(self.receipt, after))) as events:
            async for event_id, event in events:
                seen.append((event_id, event.get("data", {}).get("n", event["type"])))
                if until and event_id == until:
                    break
        return seen

    async def end(self, first: int, count: int, attempt: int = 1) -> None:
        """Append the last events of the turn, which is cancelled."""
        await self.emit(first, count, attempt, last=True)
        await self._runtime.store.cancel(self.receipt.session_id, self.receipt.turn_id)

    async def until_kept(self, count: int) -> None:
        """Wait until so many events have been read for all."""

        async def reached() -> bool:
            return any(feed._end >= count for feed in self.following._feeds.values())

        await until(reached, 30, f"{count} events are kept")


@pytest.fixture
async def turn(sessions: Sessions) -> AsyncIterator[Turn]:
    session = sessions.worker()
    turn = Turn(session, await session.submit("s", "hi", agent="a", turn_id="t"))
    yield turn
    assert not other_tasks()
    assert not turn.following._feeds


def numbered(numbers: Sequence[int], attempt: int = 1) -> Seen:
    return [(f"{attempt}-{n}", n) for n in numbers]


async def test_the_store_is_read_once_for_all(turn: Turn) -> None:
    await turn.emit(0, 3)
    alone = await turn.follow(until="1-2")
    assert alone == numbered(range(3))
    turn.reads = 0
    everybody = [asyncio.create_task(turn.follow()) for _ in range(200)]
    await turn.until_kept(3)
    await turn.end(3, 2)
    seen = await asyncio.gather(*everybody)
    assert seen == [numbered(range(5))] * 200
    # Each batch of events is one read, and each silent second another.
    assert turn.reads < 50


async def test_who_comes_late_gets_all_and_then_shares(turn: Turn) -> None:
    await turn.emit(0, 3)
    first = asyncio.create_task(turn.follow())
    await turn.until_kept(3)
    await turn.emit(3, following.WINDOW + 10)
    await turn.until_kept(following.WINDOW + 13)
    late = [asyncio.create_task(turn.follow(after)) for after in ("1-1", "1-400", "", None)]
    await asyncio.sleep(0)
    count = following.WINDOW + 13
    await turn.end(count, 1)
    assert await first == numbered(range(count + 1))
    for task, start in zip(late, (2, 401, 0, 0), strict=True):
        assert await task == numbered(range(start, count + 1))


async def test_a_slow_reader_holds_nobody_up_and_misses_nothing(turn: Turn) -> None:
    count = 3 * following.WINDOW
    await turn.emit(0, 1)
    slow = cast(Any, turn.following.follow(turn.receipt))
    assert (await anext(slow))[0] == "1-0"
    fast = asyncio.create_task(turn.follow())
    for first in range(1, count, following.WINDOW):
        await turn.emit(first, min(following.WINDOW, count - first))
    await turn.end(count, 1)
    assert await fast == numbered(range(count + 1))
    (feed,) = turn.following._feeds.values()
    assert len(feed._kept) <= following.WINDOW  # what is kept for it is bounded
    async with aclosing(slow):
        rest = [event_id async for event_id, _ in slow]
    assert rest == [f"1-{n}" for n in range(1, count + 1)]


async def test_who_follows_alone_reads_what_is_there_once(turn: Turn) -> None:
    count = 4 * following.WINDOW
    await turn.emit(0, count)
    await turn.end(count, 1)
    turn.reads = 0
    assert await turn.follow() == numbered(range(count + 1))
    assert turn.reads <= count // PAGE + 2


async def test_who_is_ahead_of_a_reader_that_stands_still_goes_on(turn: Turn) -> None:
    count = 3 * following.WINDOW
    await turn.emit(0, count)
    still = cast(Any, turn.following.follow(turn.receipt))
    assert (await anext(still))[0] == "1-0"
    ahead = [asyncio.create_task(turn.follow(f"1-{count - 1}")) for _ in range(3)]
    for n in range(count, count + 10):
        await turn.emit(n, 1)
        await turn.until_kept(min(n, following.WINDOW))
    await turn.end(count + 10, 1)
    for task in ahead:
        assert await task == numbered(range(count, count + 11))
    async with aclosing(still):
        assert len([event_id async for event_id, _ in still]) == count + 10


async def test_a_takeover_is_told_to_everybody(turn: Turn) -> None:
    await turn.emit(0, 3)
    both = [asyncio.create_task(turn.follow(after)) for after in (None, "1-1")]
    await turn.until_kept(3)
    await turn.emit(0, 2, attempt=2)
    await turn.until_kept(6)
    late = asyncio.create_task(turn.follow(until="2-1"))
    resumed = asyncio.create_task(turn.follow("1-2", until="2-1"))
    reset, again = ("", "turn.reset"), numbered(range(2), attempt=2)
    assert await late == again
    assert await resumed == [reset, *again]
    await turn.end(2, 1, attempt=2)
    end = numbered([2], attempt=2)
    assert await both[0] == [*numbered(range(3)), reset, *again, *end]
    assert await both[1] == [*numbered([2]), reset, *again, *end]


async def test_an_error_of_the_store_is_told_to_everybody(turn: Turn) -> None:
    await turn.emit(0, 1)
    everybody = [asyncio.create_task(turn.follow()) for _ in range(3)]
    await turn.until_kept(1)

    async def failing(*_: Any, **__: Any) -> Events:
        raise StoreUnavailable("no answer")

    read, turn._read = turn._read, failing
    await turn.emit(1, 1)  # wakes the reader
    found = await asyncio.gather(*everybody, return_exceptions=True)
    assert {type(each) for each in found} == {StoreUnavailable}
    turn._read = read
    assert await turn.follow(until="1-1") == numbered(range(2))  # who comes now starts anew


async def test_a_turn_that_is_unknown_raises(turn: Turn, sessions: Sessions) -> None:
    receipt = sessions.worker().receipt("s", "no such turn")
    with pytest.raises(SessionGone):
        async for _ in turn.following.follow(receipt):
            pass


async def test_who_leaves_takes_nobody_with_him(turn: Turn) -> None:
    await turn.emit(0, 1)
    leaving, staying = (asyncio.create_task(turn.follow()) for _ in range(2))
    await turn.until_kept(1)
    leaving.cancel()
    await asyncio.wait({leaving})
    await turn.end(1, 1)
    assert await staying == numbered(range(2))
