"""A background worker: `python -m examples.background.worker`. Run as many as you need.

The jobs of a killed worker go back to the queue. If a job's turn was committed, the next worker
reads the answer from the session instead of running the turn again. REDIS_URL names the store. A
worker without a heartbeat for LEASE_SECONDS counts as dead.
"""

import asyncio
import os
import signal
from contextlib import suppress
from typing import Any

from agents import Agent
from redis.asyncio import Redis
from redis.exceptions import RedisError

from examples.answers import answer_of
from examples.background.jobs import Job, Jobs
from examples.offline import converse, model
from turnwise import RedisSession, Runner
from turnwise.errors import AlreadyCommitted, LeaseLost, SessionBusy, StoreUnavailable

LEASE = float(os.environ.get("LEASE_SECONDS", "15"))
WAIT = min(1.0, LEASE / 3)  # seconds to wait for a job; less than the socket timeout of redis-py

client: Redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
session = RedisSession(client=client, key_prefix="analysis:sessions:", lease=LEASE)
jobs = Jobs(client)

analysis_agent = Agent[Any](
    name="AnalysisAgent",
    instructions="Analyze the data provided and generate insights.",
    model=model(converse),
)


async def process_job(job: Job) -> str:
    """Run the job as one turn of its session; if it is committed already, read its answer."""
    try:
        result = await Runner.run(
            analysis_agent,
            job.message,
            session=session,
            session_id=job.session_id,
            turn_id=job.id,
        )
    except AlreadyCommitted as committed:
        return answer_of(committed.items)
    return str(result.final_output)


async def work(worker: str, stopped: asyncio.Event) -> None:
    """Run jobs until stopped; completes the current job first."""
    while not stopped.is_set():
        await jobs.reclaim()
        job = await jobs.take(worker, wait=WAIT)
        if job is not None:
            await run_job(worker, job)


async def run_job(worker: str, job: Job) -> None:
    try:
        await jobs.complete(worker, job, await process_job(job))
    except (SessionBusy, LeaseLost, StoreUnavailable):
        await jobs.requeue(worker, job)
    except Exception as error:
        await jobs.fail(worker, job, f"{type(error).__name__}: {error}")


async def send_heartbeats(worker: str) -> None:
    while True:
        # Missing one is harmless: another worker takes the job too, and its turn commits once.
        with suppress(RedisError):
            await jobs.heartbeat(worker, LEASE)
        await asyncio.sleep(LEASE / 3)


async def main() -> None:
    worker, stopped = session.runtime.name, asyncio.Event()
    for stop_signal in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(stop_signal, stopped.set)
    async with client, session:
        await jobs.heartbeat(worker, LEASE)
        heartbeats = asyncio.create_task(send_heartbeats(worker))
        try:
            await work(worker, stopped)
        finally:
            heartbeats.cancel()
            with suppress(asyncio.CancelledError):
                await heartbeats


if __name__ == "__main__":
    asyncio.run(main())
