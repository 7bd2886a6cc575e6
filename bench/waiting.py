"""Callers that wait for a session: how soon the next turn begins, and the load of 100 waiters."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random
from typing import Any

from bench.child_process import ChildProcess, child_process
from bench.contenders import redis_client
from bench.samples import Sample
from turnwise import connect
from turnwise.session import Session

CALLERS = 100

_ids = count()


async def measure_wake_up(url: str, rounds: int) -> Sample:
    """Milliseconds from the end of a turn, commit included, to the begin of one elsewhere."""
    sample, rng = Sample(), Random(1)
    async with connect(url) as session, child_process("bench.waiting_callers", url) as callers:
        await callers.wait_for("ready")
        for number in range(rounds + 1):
            session_id = f"waiting-{next(_ids)}"
            async with session.turn(session_id):
                await _enqueue(session, callers, session_id, 1)
                await asyncio.sleep(rng.uniform(0, 0.03))  # out of phase with what polls
                released = time.monotonic()
            [begun] = await callers.wait_for("begun")
            if number:  # the first round opens connections
                sample.add((float(begun) - released) * 1000)
            await callers.wait_for("ended")
    return sample


async def measure_queue(url: str, seconds: float) -> dict[str, Any]:
    """While `CALLERS` wait for one session: script calls and commands per second.

    Then, as they get their turns: milliseconds from the end of each to the begin of the next.
    """
    session_id, delays = f"waiting-{next(_ids)}", Sample()
    async with connect(url) as session, child_process("bench.waiting_callers", url) as callers:
        await callers.wait_for("ready")
        async with session.turn(session_id), redis_client(url) as client:
            await _enqueue(session, callers, session_id, CALLERS)
            before = await calls(client)
            await asyncio.sleep(seconds)
            after = await calls(client)
        ended = time.monotonic()
        for _ in range(CALLERS):
            [begun] = await callers.wait_for("begun")
            delays.add((float(begun) - ended) * 1000)
            ended = float((await callers.wait_for("ended"))[0])
    scripts, commands = ((b - a) / seconds for a, b in zip(before, after, strict=True))
    return {
        "callers": CALLERS,
        "scripts": scripts,
        "commands": commands,
        "delay": delays.with_percentiles(),
    }


async def _enqueue(session: Session, callers: ChildProcess, session_id: str, number: int) -> None:
    callers.write(f"{session_id} {number}")
    while (info := await session.info(session_id)) is None or info.queued < number:
        await asyncio.sleep(0.01)


async def calls(client: Any) -> tuple[int, int]:
    """Calls of scripts so far, and of all commands, those inside scripts included."""
    info = await client.info("commandstats")
    calls = {name: stats["calls"] for name, stats in info.items()}
    return calls.get("cmdstat_evalsha", 0), sum(calls.values())
