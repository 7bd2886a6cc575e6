"""What a worker spends on sessions with a message each that has to wait for the turn before it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
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

_LEASE = 900.0  # seconds; only one of the open turns is renewed
_SETTLE = 3.0  # seconds in which the worker visits each session, and finds nothing to do

_ids = count()


@function_tool(needs_approval=True)
async def pay() -> str:
    """Never runs."""
    return ""


async def measure_parked(
    url: str, sessions: int, seconds: float, messages: int
) -> dict[str, dict[str, Any]]:
    """What a worker spends without them and with them, and how long another message waits.

    By what their turns do: "parked" waits for an approval, "open_turns" runs elsewhere. In each:
    `without` and `with`: the worker's share of a CPU, and the server's commands per second.
    `begin`: milliseconds from submit to begin of `messages` messages, one after the other, on other
    sessions. `first`: the same of one that comes behind a wake-up of each of them.
    """
    return {
        name: await _measure(url, turn, sessions, seconds, messages)
        for name, turn in _TURNS.items()
    }


@asynccontextmanager
async def _parked(session: RedisSession, session_id: str) -> AsyncIterator[None]:
    agent = Agent(name="instant", model=InstantModel(1, 1, pay.name), tools=[pay])
    await Runner.run(agent, "Go", session=session, session_id=session_id, turn_id="parked")
    yield


@asynccontextmanager
async def _open(session: RedisSession, session_id: str) -> AsyncIterator[None]:
    async with session.turn(session_id):
        yield


_Turn = Callable[[RedisSession, str], AbstractAsyncContextManager[None]]
_TURNS: dict[str, _Turn] = {"parked": _parked, "open_turns": _open}


async def _measure(
    url: str, turn: _Turn, sessions: int, seconds: float, messages: int
) -> dict[str, Any]:
    name = f"parked-{next(_ids)}"
    session = RedisSession.from_url(url, lease=_LEASE)
    async with session, monitored_worker(url) as worker:
        begin = {WITHOUT: await idle_latency(worker, messages)}
        without = await _load(url, worker.process, seconds)
        async with turn(session, name):
            receipt = await session.submit(name, "Go on", agent="instant")
            async with copies(url, session.key(name), sessions):
                await session.runtime.store.ready.sweep(force=True)  # wakes all that have messages
                first = await worker.latency(f"{name}-first")
                loaded = await _load(url, worker.process, seconds)
                begin[WITH] = await idle_latency(worker, messages)
            await session.cancel(name, receipt.turn_id)
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
