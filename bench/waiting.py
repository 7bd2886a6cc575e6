"""Waiting for a session: how soon the next one begins, and what 100 that wait ask of the server."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random
from typing import Any

from bench.children import Child, child
from bench.samples import Sample
from bench.sides import redis_client
from turnwise import connect
from turnwise.session import Session

CALLERS = 100

_ids = count()


async def measure_wake_up(url: str, rounds: int) -> Sample:
    """Milliseconds from a turn's end, commit included, to the begin of one of another process."""
    sample, rng = Sample(), Random(1)
    async with connect(url) as session, child("bench.waiters", url) as waiters:
        await waiters.next("ready")
        for number in range(rounds + 1):
            session_id = f"waiting-{next(_ids)}"
            async with session.turn(session_id):
                await _queued(session, waiters, session_id, 1)
                await asyncio.sleep(rng.uniform(0, 0.03))  # not in step with what polls
                released = time.monotonic()
            [begun] = await waiters.next("begun")
            if number:  # the first opens connections
                sample.add((float(begun) - released) * 1000)
            await waiters.next("ended")
    return sample


async def measure_line(url: str, seconds: float) -> dict[str, Any]:
    """While `CALLERS` wait for one session: calls of scripts a second, commands a second.

    Then milliseconds from each one's end to the begin of the next in line.
    """
    session_id, delays = f"waiting-{next(_ids)}", Sample()
    async with connect(url) as session, child("bench.waiters", url) as waiters:
        await waiters.next("ready")
        async with session.turn(session_id), redis_client(url) as client:
            await _queued(session, waiters, session_id, CALLERS)
            before = await _counts(client)
            await asyncio.sleep(seconds)
            after = await _counts(client)
        ended = time.monotonic()
        for _ in range(CALLERS):
            [begun] = await waiters.next("begun")
            delays.add((float(begun) - ended) * 1000)
            ended = float((await waiters.next("ended"))[0])
    scripts, commands = ((b - a) / seconds for a, b in zip(before, after, strict=True))
    return {
        "callers": CALLERS,
        "scripts": scripts,
        "commands": commands,
        "next": delays.with_tail(),
    }


async def _queued(session: Session, waiters: Child, session_id: str, callers: int) -> None:
    waiters.tell(f"{session_id} {callers}")
    while (info := await session.info(session_id)) is None or info.queued < callers:
        await asyncio.sleep(0.01)


async def _counts(client: Any) -> tuple[int, int]:
    """Calls of scripts so far, and of all commands, those inside scripts included."""
    info = await client.info("commandstats")
    calls = {name: stats["calls"] for name, stats in info.items()}
    return calls.get("cmdstat_evalsha", 0), sum(calls.values())
