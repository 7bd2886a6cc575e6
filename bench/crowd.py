"""Many sessions in one process, each with one turn after the other."""

from __future__ import annotations

import asyncio
import time
from itertools import count

from bench.history import Histories
from bench.samples import Sample, alternating
from bench.sides import OURS, SDK, Side, on_redis

SESSIONS = 64
HISTORY = 20

_ids = count()


async def measure_crowd(url: str, rounds: int, turns: int) -> dict[str, Sample]:
    """Turns per second of `SESSIONS` concurrent sessions, by side."""
    async with on_redis(url) as (ours, theirs):
        sides: dict[str, Side] = {OURS: ours, SDK: theirs}
        for side in sides.values():
            await _rate(side, 1)
        samples = {name: Sample() for name in sides}
        for order in alternating(sides, rounds):
            for name in order:
                samples[name].add(await _rate(sides[name], turns))
        return samples


async def _rate(side: Side, turns: int) -> float:
    crowd, histories = next(_ids), Histories()
    ids = [f"crowd-{crowd}-{number}" for number in range(SESSIONS)]
    for session_id in ids:
        await side.fill(session_id, histories.items(HISTORY - 2))
        await side.turn(session_id, *histories.turn())
    said, answered = histories.turn()

    async def talk(session_id: str) -> None:
        for _ in range(turns):
            await side.turn(session_id, said, answered)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for session_id in ids:
            tasks.create_task(talk(session_id))
    return turns * SESSIONS / (time.perf_counter() - start)
