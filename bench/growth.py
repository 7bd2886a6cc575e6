"""What stays in a process's memory of sessions and agents that it does not need any more."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import pairwise

from bench.child_process import child_process

SESSIONS, MESSAGES, AGENTS, SDK_AGENTS = "sessions", "messages", "agents", "sdk agents"
PARTS = 4
"""The first is left out: in it caches fill up, and the allocator takes what it keeps.

So a quarter of the messages has to fill what a worker remembers of finished turns: 10,000 of them.
"""

_TIMEOUT = 900
"""Seconds for a quarter: 10,000 messages, while the other kinds take their share of the CPUs."""


async def measure_growth(url: str, numbers: Mapping[str, int]) -> dict[str, dict[str, float]]:
    """By kind: how many, the megabytes of the process at the end, and bytes of growth for each.

    The growth is the median of the last three quarters, so that one step of the allocator does not
    decide. All kinds run at the same time, each in a process of its own: no time is measured.
    """
    found = await asyncio.gather(*(_measure(url, *each) for each in numbers.items()))
    return dict(zip(numbers, found, strict=True))


async def _measure(url: str, kind: str, number: int) -> dict[str, float]:
    part = max(1, number // PARTS)
    async with child_process("bench.growth_process", url, kind, part) as process:
        resident = [float((await process.wait_for("resident", _TIMEOUT))[0]) for _ in range(PARTS)]
    growths = sorted((after - before) / part for before, after in pairwise(resident))
    return {
        "number": part * PARTS,
        "megabytes": resident[-1] / 1e6,
        "growth": growths[len(growths) // 2],
    }
