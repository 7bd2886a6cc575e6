"""How soon a turn of another process is ended by `cancel`."""

from __future__ import annotations

import asyncio
import time
from itertools import count
from random import Random

from bench.children import child
from bench.samples import Sample
from turnwise import connect

_ids = count()
_LEASE = 15.0


async def measure_cancel(url: str, rounds: int) -> Sample:
    """Milliseconds from the call of `cancel` to its answer: the turn, in a tool, has ended."""
    name, sample, rng = f"cancel-{next(_ids)}", Sample(), Random(1)
    async with (
        child("bench.holding", url, _LEASE, name, 1, rounds + 1, 0) as worker,
        connect(url) as session,
    ):
        for number in range(rounds + 1):
            await worker.next("held")
            await asyncio.sleep(rng.uniform(0, 0.03))  # not in step with what polls
            begun = time.perf_counter()
            outcome = (await session.cancel(f"{name}-0")).outcome
            if number:  # the first opens connections
                sample.add((time.perf_counter() - begun) * 1000)
            if outcome != "cancelled":
                raise RuntimeError(f"the turn was not cancelled: {outcome}")
    return sample
