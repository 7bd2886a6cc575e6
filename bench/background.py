"""Background turns of one worker process: how many a second, and how soon each begins."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

from bench.children import Child, child
from bench.samples import Sample
from turnwise import connect
from turnwise.session import Session

CLIENTS = 64
SESSIONS = 500
LEASE = 15.0
SHARE = 0.8
_PATIENCE = 60.0

_ids = count()


class Served:
    """Sessions, a worker process that serves them, and when it began and committed each turn."""

    def __init__(self, session: Session, worker: Child) -> None:
        self.session = session
        self.worker = worker
        self._moments: dict[tuple[str, str], asyncio.Future[float]] = {}

    async def listen(self) -> None:
        """Until the worker says no more; what is still waited for then fails."""
        try:
            await self._listen()
        except Exception as error:
            for moment in self._moments.values():
                if not moment.done():
                    moment.set_exception(error)
            raise

    async def _listen(self) -> None:
        while True:
            word, *rest = await self.worker.line(timeout=600)
            turn_id, moment = rest if len(rest) == 2 else ("", *rest)
            known = self._moment(word, turn_id)
            if not known.done():  # a turn that was given back begins twice
                known.set_result(float(moment))

    async def moment(self, word: str, turn_id: str) -> float:
        """When the worker said so of the turn."""
        async with asyncio.timeout(_PATIENCE):
            return await self._moment(word, turn_id)

    def _moment(self, word: str, turn_id: str) -> asyncio.Future[float]:
        loop = asyncio.get_running_loop()
        return self._moments.setdefault((word, turn_id), loop.create_future())

    async def start(self) -> None:
        """Let the worker work."""
        self.worker.tell("go")
        await self.moment("ready", "")
        del self._moments["ready", ""]

    async def stop(self) -> None:
        """Let the worker end, so that messages wait."""
        self.worker.tell("stop")
        await self.moment("stopped", "")
        del self._moments["stopped", ""]

    async def submit(self, session_id: str) -> tuple[str, float]:
        """A new turn's id, and when it was submitted: when the call was made."""
        turn_id, moment = f"{next(_ids)}", time.monotonic()
        await self.session.submit(session_id, "Go", agent="instant", turn_id=turn_id)
        return turn_id, moment

    async def delay(self, session_id: str) -> float:
        """Milliseconds from a submit to its turn's begin; returns when the turn is committed."""
        turn_id, moment = await self.submit(session_id)
        begun = await self.moment("begun", turn_id)
        await self.moment("committed", turn_id)
        return (begun - moment) * 1000


@asynccontextmanager
async def served(url: str) -> AsyncIterator[Served]:
    async with connect(url, max_queue=10_000) as session, child("bench.serving", url, LEASE) as it:
        service = Served(session, it)
        listening = asyncio.create_task(service.listen())
        try:
            await service.start()
            await service.delay("first")
            yield service
            await service.stop()  # nothing is left for the next worker
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def throughput(service: Served, rounds: int, messages: int) -> Sample:
    """Turns a second when `CLIENTS` submit one message after the other, each to its session."""
    sample, share = Sample(), max(1, messages // CLIENTS)

    async def talk(session_id: str) -> None:
        for _ in range(share):
            await service.delay(session_id)

    for _ in range(rounds):
        started = time.monotonic()
        await asyncio.gather(*(talk(f"background-{number}") for number in range(CLIENTS)))
        sample.add(share * CLIENTS / (time.monotonic() - started))
    return sample


async def at_idle(service: Served, count: int) -> Sample:
    """Milliseconds from submit to begin, one message after the other."""
    sample, rng = Sample(), Random(1)
    for number in range(count):
        await asyncio.sleep(rng.uniform(0, 0.03))  # not in step with anything that polls
        sample.add(await service.delay(f"background-{number % SESSIONS}"))
    return sample


async def under_load(service: Served, rate: float, seconds: float) -> Sample:
    """The same with `rate` messages a second, which come as chance has it."""
    rng, tasks = Random(2), list[asyncio.Task[float]]()
    due = time.monotonic()
    until = due + seconds
    while due < until:
        await asyncio.sleep(max(0, due - time.monotonic()))
        session_id = f"background-{rng.randrange(SESSIONS)}"
        tasks.append(asyncio.create_task(service.delay(session_id)))
        due += rng.expovariate(rate)
    return Sample(list(await asyncio.gather(*tasks)))


async def measure_background(
    url: str, rounds: int, messages: int, idle: int, seconds: float
) -> dict[str, Sample]:
    """Turns a second; ms from submit to begin at idle, and at `SHARE` of the turns a second."""
    async with served(url) as service:
        await throughput(service, 1, messages // 4)
        quiet = await at_idle(service, idle)
        rate = await throughput(service, rounds, messages)
        loaded = await under_load(service, SHARE * rate.median, seconds)
    return {"turns": rate, "idle": quiet, "loaded": loaded}


async def in_batches(submits: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    done = []
    for start in range(0, len(submits), 50):
        done += await asyncio.gather(*submits[start : start + 50])
    return done
