"""Enqueue a job: `python -m examples.background.enqueue SESSION MESSAGE [--wait]`."""

import argparse
import asyncio
import os

from redis.asyncio import Redis

from examples.background.jobs import Jobs


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m examples.background.enqueue")
    parser.add_argument("session_id")
    parser.add_argument("message")
    parser.add_argument("--job-id", help="jobs with the same id are answered once")
    parser.add_argument("--wait", action="store_true", help="wait for the answer")
    options = parser.parse_args()
    async with Redis.from_url(os.environ.get("REDIS_URL", "redis://localhost:6379/0")) as client:
        jobs = Jobs(client)
        job = await jobs.enqueue(options.session_id, options.message, options.job_id)
        print(job.id if not options.wait else await _wait_for_answer(jobs, job.id))


async def _wait_for_answer(jobs: Jobs, job_id: str) -> str:
    while (answer := await jobs.answer(job_id)) is None:
        await asyncio.sleep(0.1)
    return answer


if __name__ == "__main__":
    asyncio.run(main())
