"""Measuring by turns: alternately one side and the other, many times."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

Call = Callable[[], Awaitable[object]]


@dataclass(slots=True)
class Sample:
    """Values of one kind, in one unit."""

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

    def with_tail(self) -> dict[str, Any]:
        """The same, with what nearly all values are below."""
        ordered = sorted(self.values)
        far = {f"p{share}": ordered[round(share * (len(ordered) - 1) / 100)] for share in (90, 99)}
        return {**self.as_json(), **far, "worst": ordered[-1]}


async def timed(call: Call) -> tuple[float, float]:
    """How many milliseconds it took, and how many of the processor's this process used."""
    start, cpu = time.perf_counter(), time.process_time()
    await call()
    return (time.perf_counter() - start) * 1000, (time.process_time() - cpu) * 1000


def alternating(names: Iterable[str], rounds: int) -> Iterable[list[str]]:
    """Each round's order: forwards, then backwards, so that no side always comes first."""
    forwards = list(names)
    for number in range(rounds):
        yield forwards[::-1] if number % 2 else forwards


async def measure(
    calls: Mapping[str, Call], number: int, into: dict[str, Sample], before: Call
) -> None:
    """Time each call once, in an order that is another for each `number`; CPU time as well.

    `before` precedes each and is not counted: it leaves all of them the same start, whatever the
    other side did to the processor's caches.
    """
    names = list(calls)
    shift = number % len(names)
    for name in names[shift:] + names[:shift]:
        await before()
        passed, cpu = await timed(calls[name])
        into.setdefault(name, Sample()).add(passed)
        into.setdefault(f"{name} CPU", Sample()).add(cpu)
