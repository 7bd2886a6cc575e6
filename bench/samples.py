"""Samples of measured values, and the order in which contenders are measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

Call = Callable[[], Awaitable[object]]
Prepare = Callable[[], Awaitable[Call]]
"""Gets ready what is timed next, and is not timed itself."""

PHASES = 4
WARM_UP = 2  # calls of each phase that do not count


@dataclass(slots=True)
class Sample:
    """Measured values, all in one unit."""

    values: list[float] = field(default_factory=list)

    def add(self, value: float) -> None:
        self.values.append(value)

    @property
    def median(self) -> float:
        return median(self.values)

    @property
    def quartiles(self) -> tuple[float, float]:
        """The first and the third: half of the values lie between them."""
        if len(self.values) < 2:
            return self.values[0], self.values[0]
        first, _, third = quantiles(self.values, n=4, method="inclusive")
        return first, third

    def as_json(self) -> dict[str, Any]:
        first, third = self.quartiles
        return {"median": self.median, "q1": first, "q3": third, "n": len(self.values)}

    def with_percentiles(self) -> dict[str, Any]:
        """The same, with the 90th and 99th percentile and the maximum."""
        ordered = sorted(self.values)
        last = len(ordered) - 1
        percentiles = {f"p{percent}": ordered[round(percent * last / 100)] for percent in (90, 99)}
        return {**self.as_json(), **percentiles, "max": ordered[-1]}


async def timed(call: Call) -> tuple[float, float]:
    """Elapsed milliseconds, and milliseconds of CPU time of this process."""
    start, cpu = time.perf_counter(), time.process_time()
    await call()
    return (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000


def alternating(names: Iterable[str], rounds: int) -> Iterable[list[str]]:
    """The order of each round: forwards, then backwards, so that none always comes first."""
    forwards = list(names)
    for number in range(rounds):
        yield forwards[::-1] if number % 2 else forwards


async def measure_in_phases(
    sides: Mapping[str, Prepare], rounds: int, phases: int = PHASES
) -> dict[str, Sample]:
    """Time each side `rounds` times: milliseconds by its name, of CPU time by its name + " CPU".

    Each side is measured in phases of its own, and the phases take turns. If single calls took
    turns, each would pay for what the one before it has left in the processor's caches.
    """
    samples = {f"{name}{suffix}": Sample() for name in sides for suffix in ("", " CPU")}
    for order in alternating(sides, phases):
        for name in order:
            gc.collect()  # no phase pays for the garbage of another
            for number in range(-WARM_UP, max(1, rounds // phases)):
                elapsed, cpu = await timed(await sides[name]())
                if number >= 0:
                    samples[name].add(elapsed)
                    samples[f"{name} CPU"].add(cpu)
    return samples
