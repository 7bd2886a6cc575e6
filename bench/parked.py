"""What a worker spends on sessions whose turns wait for approvals, with a message behind each."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from agents import Agent, function_tool

from bench.background import idle_latency, monitored_worker
from bench.child_process import ChildProcess
from bench.contenders import redis_client
from bench.idle import WITH, WITHOUT, copies
from bench.model import InstantModel
from bench.usage import cpu_seconds
from bench.waiting import calls
from turnwise import RedisSession, Runner

_SETTLE = 3.0  # seconds in which the worker visits each session, and finds nothing to do

_ids = count()


@function_tool(needs_approval=True)
async def pay() -> str:
    """Never runs."""
    return ""


async def measure_parked(url: str, sessions: int, seconds: float, messages: int) -> dict[str, Any]:
    """What a worker spends without them and with them, and how long another message waits.

    `without` and `with`: its share of a CPU, and the server's commands per second. `begin`:
    milliseconds from submit to begin of `messages` messages, one after the other, on other
    sessions. `first`: the same of one that comes behind a wake-up of each parked session.
    """
    agent = Agent(name="instant", model=InstantModel(1, 1, pay.name), tools=[pay])
    name = f"parked-{next(_ids)}"
    async with RedisSession.from_url(url) as session, monitored_worker(url) as worker:
        begin = {WITHOUT: await idle_latency(worker, messages)}
        without = await _load(url, worker.process, seconds)
        await Runner.run(agent, "Go", session=session, session_id=name, turn_id="parked")
        await session.submit(name, "Go on", agent=agent.name)
        async with copies(url, session.key(name), sessions):
            await session.runtime.store.ready.sweep(force=True)  # wakes all that have messages
            first = await worker.latency(f"{name}-first")
            loaded = await _load(url, worker.process, seconds)
            begin[WITH] = await idle_latency(worker, messages)
        await session.delete(name)
    return {
        "sessions": sessions,
        WITHOUT: without,
        WITH: loaded,
        "begin": {name: sample.with_percentiles() for name, sample in begin.items()},
        "first": first,
    }


async def _load(url: str, worker: ChildProcess, seconds: float) -> dict[str, float]:
    await asyncio.sleep(_SETTLE)
    async with redis_client(url) as client:
        cpu, (_, commands) = cpu_seconds(worker.process.pid), await calls(client)
        await asyncio.sleep(seconds)
        used, (_, after) = cpu_seconds(worker.process.pid) - cpu, await calls(client)
    return {"cpu": used / seconds, "commands": (after - commands) / seconds}
