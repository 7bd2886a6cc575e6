"""Many concurrent sessions in one process, each with one turn after the other."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from itertools import count

from redis.asyncio import Redis

from bench.contenders import (
    MAX_CONNECTIONS,
    PING,
    SDK,
    TURNWISE,
    Contender,
    SDKOnRedis,
    TurnwiseContender,
    redis_client,
)
from bench.history import HistoryGenerator
from bench.samples import Sample, alternating
from turnwise import MemorySession, RedisSession

SESSIONS = 64
CALLERS = 256
MEMORY = "turnwise memory"
SERVER = " server CPU"
CACHE = 1024 * 1024 * 1024  # holds all sessions; the default holds 27 of 1,000 items
_BATCH = 1_000

Turn = Callable[[str], Awaitable[object]]
Start = Callable[[list[str]], Awaitable[Turn]]
"""Gives sessions their histories, which is not timed, and returns what a turn of one is."""

_ids = count()


async def measure_concurrency(url: str, length: int, rounds: int, turns: int) -> dict[str, Sample]:
    """Turns per second of `SESSIONS` sessions that begin with `length` items, by contender.

    In a round each session has `turns`. Names that end with " server CPU" hold microseconds of the
    server's CPU time for a turn. A PING is a turn too. Turnwise in this process's memory shows
    what is left without a server.
    """
    async with (
        redis_client(url) as client,
        RedisSession.from_url(url, cache_bytes=CACHE) as session,
        MemorySession(cache_bytes=CACHE) as memory,
    ):
        histories = HistoryGenerator()
        history = histories.items(length - 2)

        def sessions_of(contender: Contender) -> Start:
            async def start(ids: list[str]) -> Turn:
                for session_id in ids:
                    await contender.fill(session_id, history)
                    await contender.turn(session_id, *histories.turn())
                user_items, agent_items = histories.turn()
                return lambda session_id: contender.turn(session_id, user_items, agent_items)

            return start

        async def pings(_: list[str]) -> Turn:
            return lambda _: client.ping()

        starts = {
            TURNWISE: sessions_of(TurnwiseContender(session, batch=_BATCH)),
            SDK: sessions_of(SDKOnRedis(client)),
            MEMORY: sessions_of(TurnwiseContender(memory, batch=_BATCH)),
            PING: pings,
        }
        for start in starts.values():  # opens connections and loads scripts
            await _measure(client, start, 1)
        samples = {f"{name}{suffix}": Sample() for name in starts for suffix in ("", SERVER)}
        for order in alternating(starts, rounds):
            for name in order:
                rate, server = await _measure(client, starts[name], turns)
                samples[name].add(rate)
                samples[name + SERVER].add(server)
    return samples


async def _measure(client: Redis, start: Start, turns: int) -> tuple[float, float]:
    """Turns per second, and the server's microseconds for each."""
    name = next(_ids)
    ids = [f"concurrent-{name}-{number}" for number in range(SESSIONS)]
    turn = await start(ids)
    gc.collect()  # no phase pays for the garbage of another
    cpu, started = await _server_cpu(client), time.perf_counter()
    await run_turns(turn, ids, turns)
    elapsed = time.perf_counter() - started
    used = await _server_cpu(client) - cpu
    return turns * SESSIONS / elapsed, used / (turns * SESSIONS)


async def run_turns(turn: Turn, ids: list[str], turns: int) -> None:
    """All sessions at the same time, each with one turn after the other."""

    async def of_one(session_id: str) -> None:
        for _ in range(turns):
            await turn(session_id)

    async with asyncio.TaskGroup() as tasks:
        for session_id in ids:
            tasks.create_task(of_one(session_id))


async def _server_cpu(client: Redis) -> float:
    """Microseconds that the server has used so far."""
    info = await client.info("cpu")
    return 1e6 * float(info["used_cpu_user"] + info["used_cpu_sys"])


async def measure_connections(url: str) -> dict[str, int]:
    """Connections to the server that each contender has after `CALLERS` turns at the same time."""
    found = {}
    ids = [f"connections-{number}" for number in range(CALLERS)]
    async with redis_client(url) as monitor:
        async with redis_client(url) as client:
            found[SDK] = await _connections(monitor, SDKOnRedis(client), ids)
        async with RedisSession.from_url(f"{url}?max_connections={MAX_CONNECTIONS}") as session:
            found[TURNWISE] = await _connections(monitor, TurnwiseContender(session), ids)
    return found


async def _connections(monitor: Redis, contender: Contender, ids: list[str]) -> int:
    user_items, agent_items = HistoryGenerator().turn()
    before = await _connected(monitor)
    await run_turns(lambda session_id: contender.turn(session_id, user_items, agent_items), ids, 3)
    return await _connected(monitor) - before


async def _connected(monitor: Redis) -> int:
    return int((await monitor.info("clients"))["connected_clients"])
