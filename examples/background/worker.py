"""A background worker: `python -m examples.background.worker`, as many as needed.

A job that a killed worker had taken goes back to the queue. If its turn was committed, the next
worker finds the answer in the session instead of running it again. REDIS_URL names the store,
LEASE_SECONDS after how long a worker that no longer answers is taken for dead.
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
WAIT = min(1.0, LEASE / 3)  # for a job; less than redis-py waits for an answer

client: Redis = Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0"))
session = RedisSession(client=client, key_prefix="analysis:sessions:", lease=LEASE)
jobs = Jobs(client)

analysis_agent = Agent[Any](
    name="AnalysisAgent",
    instructions="Analyze the data provided and generate insights.",
    model=model(converse),
)


async def process_job(job: Job) -> str:
    """Answer a job as one turn of its session; the stored answer, if that has happened already."""
    try:
        result = await Runner.run(
            analysis_agent,
            job.message,
            session=session,
            session_id=job.session_id,
            turn_id=job.id,
        )
    except AlreadyCommitted as done:
        return answer_of(done.items)
    return str(result.final_output)


async def work(worker: str, stopped: asyncio.Event) -> None:
    """Answer jobs until told to stop; the job at hand is finished first."""
    while not stopped.is_set():
        await jobs.reclaim()
        job = await jobs.take(worker, wait=WAIT)
        if job is not None:
            await settle(worker, job)


async def settle(worker: str, job: Job) -> None:
    try:
        await jobs.finish(worker, job, await process_job(job))
    except (SessionBusy, LeaseLost, StoreUnavailable):
        await jobs.give_back(worker, job)
    except Exception as error:
        await jobs.fail(worker, job, f"{type(error).__name__}: {error}")


async def beat(worker: str) -> None:
    while True:
        # A beat that is missed costs nothing but a job taken twice, which its turn answers once.
        with suppress(RedisError):
            await jobs.beat(worker, LEASE)
        await asyncio.sleep(LEASE / 3)


async def main() -> None:
    worker, stopped = session.runtime.name, asyncio.Event()
    for wish in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(wish, stopped.set)
    async with client, session:
        await jobs.beat(worker, LEASE)
        heart = asyncio.create_task(beat(worker))
        try:
            await work(worker, stopped)
        finally:
            heart.cancel()
            with suppress(asyncio.CancelledError):
                await heart


if __name__ == "__main__":
    asyncio.run(main())
