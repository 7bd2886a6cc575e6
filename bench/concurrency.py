"""Many concurrent sessions in one process, each with one turn after the other."""

from __future__ import annotations

import asyncio
import time
from itertools import count

from bench.contenders import SDK, TURNWISE, Contender, on_redis
from bench.history import HistoryGenerator
from bench.samples import Sample, alternating

SESSIONS = 64
HISTORY = 20

_ids = count()


async def measure_concurrency(url: str, rounds: int, turns: int) -> dict[str, Sample]:
    """Turns per second of `SESSIONS` concurrent sessions, by contender."""
    async with on_redis(url) as (turnwise, sdk):
        contenders: dict[str, Contender] = {TURNWISE: turnwise, SDK: sdk}
        for contender in contenders.values():  # warm up
            await _rate(contender, 1)
        samples = {name: Sample() for name in contenders}
        for order in alternating(contenders, rounds):
            for name in order:
                samples[name].add(await _rate(contenders[name], turns))
        return samples


async def _rate(contender: Contender, turns: int) -> float:
    prefix, histories = f"concurrent-{next(_ids)}", HistoryGenerator()
    ids = [f"{prefix}-{number}" for number in range(SESSIONS)]
    for session_id in ids:
        await contender.fill(session_id, histories.items(HISTORY - 2))
        await contender.turn(session_id, *histories.turn())
    user_items, agent_items = histories.turn()

    async def run_turns(session_id: str) -> None:
        for _ in range(turns):
            await contender.turn(session_id, user_items, agent_items)

    start = time.perf_counter()
    async with asyncio.TaskGroup() as tasks:
        for session_id in ids:
            tasks.create_task(run_turns(session_id))
    return turns * SESSIONS / (time.perf_counter() - start)
