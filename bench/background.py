"""Background turns of one worker process: turns per second, and latency from submit to begin."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from itertools import count
from random import Random
from typing import Any

from bench.child_process import ChildProcess, child_process
from bench.samples import Sample
from turnwise import connect
from turnwise.session import Session

CLIENTS = 64
SESSIONS = 500
LEASE = 15.0
LOAD = 0.8
_TIMEOUT = 300.0
"""Seconds; a process that starts on a busy machine imports for a minute."""

_ids = count()


class MonitoredWorker:
    """A worker process, a session to submit to it, and the times that it reports."""

    def __init__(self, session: Session, process: ChildProcess) -> None:
        self.session = session
        self.process = process
        self._times: dict[tuple[str, str], asyncio.Future[float]] = {}

    async def monitor(self) -> None:
        """Read its reports until it exits; whatever is awaited then fails."""
        try:
            await self._monitor()
        except Exception as error:
            for reported in self._times.values():
                if not reported.done():
                    reported.set_exception(error)
            raise

    async def _monitor(self) -> None:
        while True:
            event, *fields = await self.process.read(timeout=600)
            turn_id, reported_at = fields if len(fields) == 2 else ("", *fields)
            reported = self._future(event, turn_id)
            if not reported.done():  # a turn that is released begins twice
                reported.set_result(float(reported_at))

    async def time_of(self, event: str, turn_id: str) -> float:
        """When the worker reported this event of the turn; waits for it."""
        async with asyncio.timeout(_TIMEOUT):
            return await self._future(event, turn_id)

    def _future(self, event: str, turn_id: str) -> asyncio.Future[float]:
        loop = asyncio.get_running_loop()
        return self._times.setdefault((event, turn_id), loop.create_future())

    async def start(self) -> None:
        await self._command("start", "ready")

    async def stop(self) -> None:
        """The process stays, and takes no messages until the next start."""
        await self._command("stop", "stopped")

    async def _command(self, command: str, answer: str) -> None:
        self.process.write(command)
        await self.time_of(answer, "")
        del self._times[answer, ""]

    async def submit(self, session_id: str) -> tuple[str, float]:
        """A new turn's id, and the time just before the submit."""
        turn_id, submitted = f"{next(_ids)}", time.monotonic()
        await self.session.submit(session_id, "Go", agent="instant", turn_id=turn_id)
        return turn_id, submitted

    async def latency(self, session_id: str) -> float:
        """Milliseconds from a submit to its turn's begin; returns when the turn is committed."""
        turn_id, submitted = await self.submit(session_id)
        begun = await self.time_of("begun", turn_id)
        await self.time_of("committed", turn_id)
        return (begun - submitted) * 1000


@asynccontextmanager
async def monitored_worker(url: str) -> AsyncIterator[MonitoredWorker]:
    async with (
        connect(url, max_queue=10_000) as session,
        child_process("bench.background_worker", url, LEASE) as process,
    ):
        worker = MonitoredWorker(session, process)
        monitoring = asyncio.create_task(worker.monitor())
        try:
            await worker.start()
            await worker.latency("first")
            yield worker
            await worker.stop()  # leaves nothing to the next worker
        finally:
            monitoring.cancel()
            await asyncio.gather(monitoring, return_exceptions=True)


async def throughput(worker: MonitoredWorker, rounds: int, messages: int) -> Sample:
    """Turns per second, with `CLIENTS` that each submit one message after the other."""
    sample, messages_per_client = Sample(), max(1, messages // CLIENTS)

    async def run_client(session_id: str) -> None:
        for _ in range(messages_per_client):
            await worker.latency(session_id)

    for _ in range(rounds):
        started = time.monotonic()
        await asyncio.gather(*(run_client(f"background-{number}") for number in range(CLIENTS)))
        sample.add(messages_per_client * CLIENTS / (time.monotonic() - started))
    return sample


async def idle_latency(worker: MonitoredWorker, messages: int) -> Sample:
    """Milliseconds from submit to begin, one message after the other."""
    sample, rng = Sample(), Random(1)
    for number in range(messages):
        await asyncio.sleep(rng.uniform(0, 0.03))  # out of phase with what polls
        sample.add(await worker.latency(f"background-{number % SESSIONS}"))
    return sample


async def loaded_latency(worker: MonitoredWorker, rate: float, seconds: float) -> Sample:
    """The same with `rate` messages per second that arrive at random (a Poisson process)."""
    rng, tasks = Random(2), list[asyncio.Task[float]]()
    due = time.monotonic()
    end = due + seconds
    while due < end:
        await asyncio.sleep(max(0, due - time.monotonic()))
        session_id = f"background-{rng.randrange(SESSIONS)}"
        tasks.append(asyncio.create_task(worker.latency(session_id)))
        due += rng.expovariate(rate)
    return Sample(list(await asyncio.gather(*tasks)))


async def measure_background(
    url: str, rounds: int, messages: int, idle: int, seconds: float
) -> dict[str, Sample]:
    """Turns per second; ms from submit to begin at idle, and at `LOAD` of the turns per second."""
    async with monitored_worker(url) as worker:
        await throughput(worker, 1, messages // 4)  # warm up
        at_idle = await idle_latency(worker, idle)
        rate = await throughput(worker, rounds, messages)
        under_load = await loaded_latency(worker, LOAD * rate.median, seconds)
    return {"turns": rate, "idle": at_idle, "loaded": under_load}


async def in_batches(submits: list[Coroutine[Any, Any, Any]]) -> list[Any]:
    """Await them all, 50 at a time."""
    results = []
    for start in range(0, len(submits), 50):
        results += await asyncio.gather(*submits[start : start + 50])
    return results
