"""What a worker spends on sessions whose turns wait for approvals, with a message behind each."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Any

from agents import Agent, function_tool

from bench.background import LEASE
from bench.child_process import ChildProcess, child_process
from bench.contenders import redis_client
from bench.idle import copies
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


async def measure_parked(url: str, sessions: int, seconds: float) -> dict[str, Any]:
    """A worker's share of a CPU and the server's commands per second: without them, and with."""
    agent = Agent(name="instant", model=InstantModel(1, 1, pay.name), tools=[pay])
    name = f"parked-{next(_ids)}"
    async with (
        RedisSession.from_url(url) as session,
        child_process("bench.background_worker", url, LEASE) as worker,
    ):
        worker.write("start")
        await worker.wait_for("ready")
        without = await _load(url, worker, seconds)
        await Runner.run(agent, "Go", session=session, session_id=name, turn_id="parked")
        await session.submit(name, "Go on", agent=agent.name)
        async with copies(url, session.key(name), sessions):
            await session.runtime.store.ready.sweep(force=True)  # wakes all that have messages
            loaded = await _load(url, worker, seconds)
        worker.write("stop")
        await worker.wait_for("stopped")
    return {"sessions": sessions, "without": without, "with": loaded}


async def _load(url: str, worker: ChildProcess, seconds: float) -> dict[str, float]:
    await asyncio.sleep(_SETTLE)
    async with redis_client(url) as client:
        cpu, (_, commands) = cpu_seconds(worker.process.pid), await calls(client)
        await asyncio.sleep(seconds)
        used, (_, after) = cpu_seconds(worker.process.pid) - cpu, await calls(client)
    return {"cpu": used / seconds, "commands": (after - commands) / seconds}
