"""Who waits for a turn's end polls less and less often while nothing happens."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from turnwise.turns.turn_end import MAX_POLL_INTERVAL, POLL_INTERVAL, TurnEndWaiter
from turnwise.types import Event, Events


class SlowLog:
    """An event log, and a clock that each read moves on by as long as it waits."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waits: list[float] = []
        self.published: list[Event] = []

    async def read(self, *names: Any) -> Events:
        events, self.published = self.published, []
        if not events:
            self.waits.append(names[-1])
            self.time += names[-1]
        return Events(events)


def waiter_on(log: SlowLog) -> TurnEndWaiter:
    runtime: Any = SimpleNamespace(now=lambda: log.time, store=SimpleNamespace(events=log))
    return TurnEndWaiter(runtime, "s", "t")


async def test_it_waits_longer_and_longer() -> None:
    log = SlowLog()
    waiter = waiter_on(log)
    for _ in range(6):
        await waiter.wait()
    assert log.waits == [1, 2, 4, 8, 10, 10]
    assert (log.waits[0], log.waits[-1]) == (POLL_INTERVAL, MAX_POLL_INTERVAL)


async def test_an_event_makes_it_wait_briefly_again() -> None:
    log = SlowLog()
    waiter = waiter_on(log)
    for _ in range(4):
        await waiter.wait()
    log.published = [Event("1-1", b"{}")]
    await waiter.wait()
    await waiter.wait()
    assert log.waits[-1] == POLL_INTERVAL


async def test_no_longer_than_it_is_told() -> None:
    log = SlowLog()
    waiter = waiter_on(log)
    for most in (0.5, 0.5, 3.0):
        await waiter.wait(most)
    assert log.waits == [0.5, 0.5, 3.0]
