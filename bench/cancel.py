"""How soon `cancel` ends a turn of another process."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random

from bench.child_process import child_process
from bench.samples import Sample
from turnwise import connect

_ids = count()
_LEASE = 15.0


async def measure_cancel(url: str, rounds: int) -> Sample:
    """Milliseconds that `cancel` takes; it returns when the turn, which is in a tool, has ended."""
    name, sample, rng = f"cancel-{next(_ids)}", Sample(), Random(1)
    async with (
        child_process("bench.blocking_turns", url, _LEASE, name, 1, rounds + 1, 0) as worker,
        connect(url) as session,
    ):
        for number in range(rounds + 1):
            await worker.wait_for("blocked")
            await asyncio.sleep(rng.uniform(0, 0.03))  # out of phase with what polls
            start = time.perf_counter()
            outcome = (await session.cancel(f"{name}-0")).outcome
            if number:  # the first round opens connections
                sample.add((time.perf_counter() - start) * 1000)
            if outcome != "cancelled":
                raise RuntimeError(f"the turn was not cancelled: {outcome}")
    return sample
