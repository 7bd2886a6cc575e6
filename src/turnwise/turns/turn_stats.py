"""How the turns of this process went, summed up since it began: what a worker's record tells."""

from __future__ import annotations

from bisect import bisect_left

from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent, TurnEvent
from turnwise.process import LOCK

BOUNDS = tuple(0.05 * 2 ** (step / 2) for step in range(31))
"""The seconds between which turns are counted: from 0.05 to 1,638, each 1.4 times the last."""


class TurnStats:
    """Counts takeovers, and committed turns by how long they took.

    Attributes:
        latency: How many turns took at most BOUNDS[0], at most BOUNDS[1] … and longer than all.
        takeovers: How many attempts took a turn over from a worker that died or failed.
    """

    def __init__(self) -> None:
        self.latency = [0] * (len(BOUNDS) + 1)
        self.takeovers = 0

    def note(self, event: TurnEvent) -> None:
        if isinstance(event, TurnCommittedEvent):
            with LOCK:  # other threads have event loops too
                self.latency[bisect_left(BOUNDS, event.seconds)] += 1
        elif isinstance(event, TurnBegunEvent) and event.taken_over:
            with LOCK:
                self.takeovers += 1

    @property
    def counts(self) -> list[int]:
        """`latency` without the zeros at its end."""
        last = max((place for place, count in enumerate(self.latency, 1) if count), default=0)
        return self.latency[:last]
