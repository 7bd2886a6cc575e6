"""How fast turns are, from what workers count."""

from __future__ import annotations

from typing import Any

import pytest

from turnwise.fleet.turn_rates import WINDOW, RateMeter, TurnRates
from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent
from turnwise.turns.turn_stats import BOUNDS, TurnStats
from turnwise.types import WorkerInfo


def worker(name: str, *seconds: float, takeovers: int = 0) -> WorkerInfo:
    """A worker whose turns took so long."""
    stats = TurnStats()
    for each in seconds:
        stats.note(TurnCommittedEvent("s", "t", items=1, bytes=1, seconds=each))
    for attempt in range(takeovers):
        stats.note(TurnBegunEvent("s", "t", 2 + attempt, items=0, waited=0.0, reloaded=False))
    fields: dict[str, Any] = {
        "host": "h", "pid": 1, "version": "1", "started_at": 0.0, "silent_for": 0.0, "alive": True,
        "stopping": False, "quiet": False, "agents": (), "concurrency": 1, "active": 0, "turns": (),
    }  # fmt: skip
    return WorkerInfo(name, **fields, latency=tuple(stats.counts), takeovers=stats.takeovers)


def test_a_tally_counts_commits_by_their_time() -> None:
    stats = TurnStats()
    assert stats.counts == []
    for seconds in (0.0, BOUNDS[0], BOUNDS[2], 10**6):
        stats.note(TurnCommittedEvent("s", "t", items=1, bytes=1, seconds=seconds))
    assert (stats.counts[:3], stats.counts[-1], sum(stats.counts)) == ([2, 0, 1], 1, 4)
    resumed = TurnBegunEvent("s", "t", 2, items=0, waited=0.0, reloaded=False, resumed=True)
    for event in (resumed, TurnBegunEvent("s", "t", 1, items=0, waited=0.0, reloaded=False)):
        stats.note(event)
    assert stats.takeovers == 0


def test_what_was_before_the_first_look_is_no_news() -> None:
    meter = RateMeter()
    assert meter.look(0.0, [worker("a", 1.0, takeovers=5)]) == TurnRates()
    assert meter.look(1.0, [worker("a", 1.0, takeovers=5)]) == TurnRates()


def test_the_turns_of_all_workers_count() -> None:
    meter = RateMeter()
    meter.look(0.0, [worker("a", *[9.0] * 50), worker("b")])
    came = worker("later", 100.0, takeovers=1)
    rates = meter.look(5.0, [worker("a", *[9.0] * 50, *[0.3] * 20), worker("b", 1.0, 1.0), came])
    assert rates.takeovers == 1
    assert rates.median == pytest.approx(0.3, rel=0.25)
    assert rates.slowest is not None
    assert rates.slowest == pytest.approx(1.0, rel=0.5)


def test_a_minute_later_it_is_over() -> None:
    meter = RateMeter()
    meter.look(0.0, [worker("a")])
    assert meter.look(1.0, [worker("a", 2.0, takeovers=1)]).takeovers == 1
    assert meter.look(WINDOW, [worker("a", 2.0, takeovers=1)]).takeovers == 1
    assert meter.look(WINDOW + 1, [worker("a", 2.0, takeovers=1)]) == TurnRates()


def test_a_worker_that_ends_or_counts_anew_takes_nothing_away() -> None:
    meter = RateMeter()
    meter.look(0.0, [worker("a"), worker("b")])
    meter.look(1.0, [worker("a", 2.0), worker("b", 2.0, takeovers=1)])
    rates = meter.look(2.0, [worker("a")])
    assert (rates.takeovers, rates.median is not None) == (1, True)


def test_longer_than_all_bounds() -> None:
    meter = RateMeter()
    meter.look(0.0, [worker("a")])
    rates = meter.look(1.0, [worker("a", 10**6)])
    assert rates.median is not None
    assert rates.median > BOUNDS[-1]
