"""What very many idle sessions in the store cost the active ones."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

from bench.background import idle_latency, monitored_worker
from bench.contenders import TurnwiseContender, redis_client
from bench.history import HistoryGenerator
from bench.samples import Sample, measure_in_phases, timed
from bench.turns import Conversation, pings
from turnwise import RedisSession
from turnwise.fleet.watch import Watch

ITEMS = 4
LOOKS = "list", "stuck", "watch"
PAUSE_MS = 5
"""A command that holds the server up for longer is counted."""
_LOOKS, _SLOW = 30, "slowlog-log-slower-than"
_LENGTH, _BATCH = 10, 1_000
WITHOUT, WITH = "without", "with"

_ids = count()


async def measure_idle(url: str, idle: int, rounds: int) -> dict[str, Any]:
    """Turns and background turns without `idle` sessions, with them, and without them again.

    Milliseconds, by what is measured, then "with" or "without". `sweep` is how many seconds it
    takes to scan all sessions for lost wake-ups, as a worker does every ten minutes; `looks` what
    operators wait for, in milliseconds, and `pauses` how many commands of these took the server
    longer than PAUSE_MS.
    """
    found: dict[str, dict[str, Sample]] = {
        kind: {WITHOUT: Sample(), WITH: Sample()} for kind in ("turn", "ping", "begin")
    }
    await _measure(url, WITHOUT, rounds // 2, found)
    async with _idle_sessions(url, idle) as used_bytes:
        await _measure(url, WITH, rounds, found)
        sweep = await _sweep(url)
        looks, pauses = await _operators(url)
    await _measure(url, WITHOUT, rounds - rounds // 2, found)
    return {
        "sessions": idle,
        "bytes": used_bytes,
        "sweep": sweep,
        "looks": looks,
        "pauses": pauses,
        **{
            kind: {name: sample.with_percentiles() for name, sample in samples.items()}
            for kind, samples in found.items()
        },
    }


async def _measure(url: str, name: str, rounds: int, into: dict[str, dict[str, Sample]]) -> None:
    async with RedisSession.from_url(url) as session, redis_client(url) as client:
        turn = Conversation(TurnwiseContender(session), _LENGTH).turn
        samples = await measure_in_phases({"turn": turn, "ping": pings(client)}, rounds)
    for kind in ("turn", "ping"):
        into[kind][name].values += samples[kind].values
    async with monitored_worker(url) as worker:
        into["begin"][name].values += (await idle_latency(worker, rounds)).values


@asynccontextmanager
async def _idle_sessions(url: str, idle: int) -> AsyncIterator[int]:
    """Copies of one session; yields the bytes that they use."""
    async with RedisSession.from_url(url) as session, redis_client(url) as client:
        name = f"idle-{next(_ids)}"
        await session.bind(name).add_items(HistoryGenerator().items(ITEMS))
        before = await _used_memory(client)
        async with copies(url, session.key(name), idle):
            yield await _used_memory(client) - before


@asynccontextmanager
async def copies(url: str, key: str, number: int) -> AsyncIterator[None]:
    """So many copies of one session's key, while the block lasts."""
    keys = [f"{key}-{copy}" for copy in range(number)]
    batches = [keys[start : start + _BATCH] for start in range(0, number, _BATCH)]
    async with redis_client(url) as client:
        dump = await client.dump(key) or b""
        for batch in batches:
            async with client.pipeline(transaction=False) as pipeline:
                for copy in batch:
                    pipeline.restore(copy, 0, dump)
                await pipeline.execute()
        yield
        for batch in batches:
            await client.unlink(*batch)


async def _used_memory(client: Any) -> int:
    return int((await client.info("memory"))["used_memory"])


async def _sweep(url: str) -> float:
    async with RedisSession.from_url(url) as session:
        started = time.monotonic()
        await session.runtime.store.ready.sweep(force=True)
        return time.monotonic() - started


async def _operators(url: str) -> tuple[dict[str, dict[str, Any]], int]:
    """What `list` takes for its first page, `stuck`, and a look of the dashboard and `top`.

    And how many commands paused the server, in these and in a walk through all sessions.
    """
    samples = {name: Sample() for name in LOOKS}
    async with RedisSession.from_url(url) as session, redis_client(url) as client:
        known = await client.config_get(_SLOW)
        await client.config_set(_SLOW, PAUSE_MS * 1000)
        await client.slowlog_reset()
        watch = Watch(session)

        async def stuck() -> None:
            async for _ in session.stuck(quick=True):
                pass

        for _ in range(_LOOKS):
            samples["list"].add((await timed(session.sessions))[0])
            samples["stuck"].add((await timed(stuck))[0])
            samples["watch"].add((await timed(watch.look))[0])
        async for _ in session.stuck():
            pass
        pauses = await client.slowlog_len()
        await client.config_set(_SLOW, str(known[_SLOW]))
    return {name: sample.with_percentiles() for name, sample in samples.items()}, pauses
