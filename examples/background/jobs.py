"""A reliable job queue in Redis lists: a killed worker loses no job.

jobs                      the queue, newest first
jobs:processing:<worker>  jobs that a worker has taken and not yet completed
jobs:workers              workers that may have a processing list
jobs:failed               jobs that failed with an error
jobs:alive:<worker>, jobs:answer:<job id>   expire
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, cast
from uuid import uuid4

from redis.asyncio import Redis

QUEUE, WORKERS, FAILED = "jobs", "jobs:workers", "jobs:failed"
ANSWER_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class Job:
    """A message for a session. Its id is also the turn_id of the turn that answers it."""

    id: str
    session_id: str
    message: str


class Jobs:
    """The queue. The client may decode responses or not."""

    def __init__(self, client: Redis) -> None:
        # redis-py gives sync and async commands the same types; these are async.
        self._redis = cast(Any, client)

    async def enqueue(self, session_id: str, message: str, job_id: str | None = None) -> Job:
        job = Job(job_id or uuid4().hex, session_id, message)
        await self._redis.lpush(QUEUE, json.dumps(asdict(job)))
        return job

    async def answer(self, job_id: str) -> str | None:
        """The answer; None if there is none yet, or if it has expired."""
        found = await self._redis.get(f"jobs:answer:{job_id}")
        return found.decode() if isinstance(found, bytes) else found

    async def take(self, worker: str, wait: float) -> Job | None:
        """The oldest job; None if none arrives in `wait` seconds.

        A job that is already in the worker's processing list comes first: an earlier reply of the
        server may have been lost.
        """
        raw = await self._redis.lindex(_processing(worker), -1)
        if raw is None:
            raw = await self._redis.blmove(QUEUE, _processing(worker), wait, "RIGHT", "LEFT")
        return None if raw is None else Job(**json.loads(raw))

    async def complete(self, worker: str, job: Job, answer: str) -> None:
        await self._redis.set(f"jobs:answer:{job.id}", answer, ex=ANSWER_SECONDS)
        await self._remove(worker, job)

    async def requeue(self, worker: str, job: Job) -> None:
        """Put the job at the end of the queue, to be tried again later."""
        await self._redis.lpush(QUEUE, json.dumps(asdict(job)))
        await self._remove(worker, job)

    async def fail(self, worker: str, job: Job, reason: str) -> None:
        """Move the job to the failed ones: another attempt would fail the same way."""
        await self._redis.lpush(FAILED, json.dumps({**asdict(job), "reason": reason}))
        await self._remove(worker, job)

    async def heartbeat(self, worker: str, seconds: float) -> None:
        """Mark the worker as alive for the next `seconds`."""
        await self._redis.sadd(WORKERS, worker)
        await self._redis.set(f"jobs:alive:{worker}", "", px=round(seconds * 1000))

    async def reclaim(self) -> int:
        """Move the jobs of dead workers to the front of the queue; returns how many."""
        count = 0
        for name in await self._redis.smembers(WORKERS):
            worker = name.decode() if isinstance(name, bytes) else name
            if await self._redis.exists(f"jobs:alive:{worker}"):
                continue
            while await self._redis.lmove(_processing(worker), QUEUE, "LEFT", "RIGHT") is not None:
                count += 1
            await self._redis.srem(WORKERS, worker)
        return count

    async def _remove(self, worker: str, job: Job) -> None:
        await self._redis.lrem(_processing(worker), 1, json.dumps(asdict(job)))


def _processing(worker: str) -> str:
    return f"jobs:processing:{worker}"
