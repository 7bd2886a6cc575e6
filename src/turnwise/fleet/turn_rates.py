"""How fast turns are committed, and how often they are taken over, from what workers say."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from turnwise.turns.turn_stats import BOUNDS
from turnwise.types import WorkerInfo

WINDOW = 60.0
"""Seconds over which a rates is told: a worker says how its turns went every five seconds."""
_Counts = tuple[int, ...]


@dataclass(frozen=True)
class TurnRates:
    """How the turns of the last minute went, in the processes of background workers.

    Attributes:
        median: Half of those committed took at most so many seconds; None if there were none.
        slowest: The same for 95 of 100.
        takeovers: How many attempts took a turn over from a worker that died or failed.
    """

    median: float | None = None
    slowest: float | None = None
    takeovers: int = 0


class RateMeter:
    """Adds up what each worker has counted since the first look."""

    def __init__(self) -> None:
        self._known: dict[str, _Counts] = {}
        self._sum: _Counts = (0,) * (len(BOUNDS) + 2)
        self._past: deque[tuple[float, _Counts]] = deque()

    def look(self, at: float, workers: Sequence[WorkerInfo]) -> TurnRates:
        """The rates after this look at the workers, at this time in seconds."""
        told = {worker.name: _counts(worker) for worker in workers}
        for name, counts in told.items():
            # What workers counted before the first look is no news; one that came later is new.
            before = self._known.get(name, counts if not self._past else ())
            self._sum = _plus(self._sum, _minus(counts, before))
        self._known = told
        self._past.append((at, self._sum))
        while len(self._past) > 1 and self._past[1][0] <= at - WINDOW:
            self._past.popleft()
        *latency, takeovers = _minus(self._sum, self._past[0][1])
        return TurnRates(_quantile(latency, 0.5), _quantile(latency, 0.95), takeovers)


def _counts(worker: WorkerInfo) -> _Counts:
    latency = worker.latency[: len(BOUNDS) + 1]
    return (*latency, *(0 for _ in range(len(BOUNDS) + 1 - len(latency))), worker.takeovers)


def _plus(one: _Counts, other: _Counts) -> _Counts:
    return tuple(a + b for a, b in zip(one, other, strict=True))


def _minus(one: _Counts, other: _Counts) -> _Counts:
    """Never below 0: another process may bear the name of one that died."""
    return tuple(max(0, a - b) for a, b in zip(one, other or (0,) * len(one), strict=True))


def _quantile(latency: Sequence[int], share: float) -> float | None:
    """For a share of the turns, the seconds that they took at most; None if there were none."""
    rank, below = share * sum(latency), 0
    if not rank:
        return None
    for place, count in enumerate(latency):
        if below + count >= rank:
            return _between(place, (rank - below) / count)
        below += count
    raise AssertionError("the rank is at most the sum")


def _between(place: int, part: float) -> float:
    """The turns between two bounds count as spread evenly."""
    low = BOUNDS[place - 1] if place else 0.0
    high = BOUNDS[place] if place < len(BOUNDS) else 2 * low
    return low + part * (high - low)
