"""What very many idle sessions in the store cost the active ones."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import msgspec

from bench.background import idle_latency, monitored_worker
from bench.contenders import TurnwiseContender, redis_client
from bench.history import HistoryGenerator
from bench.samples import Call, Sample, measure_in_phases, timed
from bench.turns import Conversation, pings
from bench.watching import measure_watching
from turnwise import RedisSession
from turnwise.fleet.watch import Watch
from turnwise.fleet.workers import WorkerRecord
from turnwise.turns import mint

ITEMS = 4
LOOKS = "list", "stuck", "watch", "workers"
WORKERS = 200
"""How many workers the registry has."""
PAUSE_MS = 5
"""A command that holds the server up for longer is counted."""
_LOOKS, _MOST_PAUSES, _SLOW = 30, 100, "slowlog-log-slower-than"
_LENGTH, _BATCH = 10, 1_000
WITHOUT, WITH = "without", "with"

_TURNS = 100
"""How many turns each of them holds."""

_ids = count()


async def measure_idle(url: str, idle: int, rounds: int, seconds: float) -> dict[str, Any]:
    """Turns and background turns without `idle` sessions, with them, and without them again.

    Milliseconds, by what is measured, then "with" or "without". `sweep` is how many seconds it
    takes to scan all sessions for lost wake-ups, as a worker does every ten minutes; `looks` what
    operators wait for, in milliseconds; `pauses` how many commands of these took the server longer
    than PAUSE_MS, and `slowest` the milliseconds of the longest ones, by their names. `browsers`:
    see `measure_watching`, which observes for `seconds`.
    """
    found: dict[str, dict[str, Sample]] = {
        kind: {WITHOUT: Sample(), WITH: Sample()} for kind in ("turn", "ping", "begin")
    }
    await _measure(url, WITHOUT, rounds // 2, found)
    async with _idle_sessions(url, idle) as (name, used_bytes):
        await _measure(url, WITH, rounds, found)
        sweep = await _sweep(url)
        async with _pauses(url) as slow, _workers(url):
            looks = await _operators(url)
            watched = await measure_watching(url, name, seconds)
        looks["overview"] = watched["overview"]
    await _measure(url, WITHOUT, rounds - rounds // 2, found)
    return {
        "sessions": idle,
        "bytes": used_bytes,
        "sweep": sweep,
        "looks": looks,
        "pauses": len(slow),
        "slowest": slow,
        "browsers": watched["browsers"],
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
async def _idle_sessions(url: str, idle: int) -> AsyncIterator[tuple[str, int]]:
    """Copies of one session; yields its id, and the bytes that they use."""
    async with RedisSession.from_url(url) as session, redis_client(url) as client:
        name = f"idle-{next(_ids)}"
        await session.bind(name).add_items(HistoryGenerator().items(ITEMS))
        before = await _used_memory(client)
        async with copies(url, session.key(name), idle):
            yield name, await _used_memory(client) - before


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


async def _operators(url: str) -> dict[str, dict[str, Any]]:
    """What operators wait for: the first page of a listing, `stuck`, the workers, a look of the
    dashboard and `top`. And a walk through all sessions, which is not timed.
    """
    samples = {name: Sample() for name in LOOKS}
    async with RedisSession.from_url(url) as session:
        watch = Watch(session)

        async def stuck() -> None:
            async for _ in session.stuck(quick=True):
                pass

        calls: tuple[Call, ...] = (session.sessions, stuck, watch.look, session.workers)
        for _ in range(_LOOKS):
            for name, call in zip(LOOKS, calls, strict=True):
                samples[name].add((await timed(call))[0])
        async for _ in session.stuck():
            pass
    return {name: sample.with_percentiles() for name, sample in samples.items()}


@asynccontextmanager
async def _workers(url: str) -> AsyncIterator[None]:
    """A registry of WORKERS, while the block lasts."""
    turns = [(f"idle-0-{number}", mint()) for number in range(_TURNS)]
    record = WorkerRecord("host", 1, "1.0", time.time(), ["support"], _TURNS, _TURNS, False, turns)
    async with RedisSession.from_url(url) as session:
        registry = session.runtime.store.workers
        names = [f"worker-{number}" for number in range(WORKERS)]
        for name in names:
            await registry.write(name, msgspec.json.encode(record))
        yield
        for name in names:
            await registry.remove(name)


@asynccontextmanager
async def _pauses(url: str) -> AsyncIterator[list[tuple[str, float]]]:
    """Fills the list with the commands of the block that held the server up, the longest first."""
    pauses: list[tuple[str, float]] = []
    async with redis_client(url) as client:
        known = await client.config_get(_SLOW)
        await client.config_set(_SLOW, PAUSE_MS * 1000)
        await client.slowlog_reset()
        yield pauses
        for entry in await client.slowlog_get(_MOST_PAUSES):
            words = entry["command"].decode(errors="replace").split(" ")
            pauses.append((words[0], entry["duration"] / 1000))
        pauses.sort(key=lambda pause: -pause[1])
        await client.config_set(_SLOW, str(known[_SLOW]))
