"""A queue of jobs in Redis lists from which a killed worker takes no job along.

jobs              waiting, newest first
jobs:of:<worker>  taken by a worker and not yet finished
jobs:workers      the workers that may have taken some
jobs:alive:<worker>, jobs:answer:<id>   expire
"""

import json
from dataclasses import asdict, dataclass
from typing import Any, cast
from uuid import uuid4

from redis.asyncio import Redis

WAITING, WORKERS, FAILED = "jobs", "jobs:workers", "jobs:failed"
ANSWER_SECONDS = 24 * 60 * 60


@dataclass(frozen=True)
class Job:
    """A message for a session. The job's id is the id of the turn that answers it."""

    id: str
    session_id: str
    message: str


class Jobs:
    """The queue, on a client with any settings."""

    def __init__(self, client: Redis) -> None:
        # redis-py types its commands for sync and async alike; these are awaited.
        self._redis = cast(Any, client)

    async def enqueue(self, session_id: str, message: str, job_id: str | None = None) -> Job:
        job = Job(job_id or uuid4().hex, session_id, message)
        await self._redis.lpush(WAITING, json.dumps(asdict(job)))
        return job

    async def answer(self, job_id: str) -> str | None:
        """What was answered; None if nothing was yet, or too long ago."""
        found = await self._redis.get(f"jobs:answer:{job_id}")
        return found.decode() if isinstance(found, bytes) else found

    async def take(self, worker: str, wait: float) -> Job | None:
        """The oldest job; None if none came in `wait` seconds.

        What this worker has taken already comes first: the server's answer to an earlier call
        may have been lost on its way.
        """
        raw = await self._redis.lindex(_taken(worker), -1)
        if raw is None:
            raw = await self._redis.blmove(WAITING, _taken(worker), wait, "RIGHT", "LEFT")
        return None if raw is None else Job(**json.loads(raw))

    async def finish(self, worker: str, job: Job, answer: str) -> None:
        await self._redis.set(f"jobs:answer:{job.id}", answer, ex=ANSWER_SECONDS)
        await self._forget(worker, job)

    async def give_back(self, worker: str, job: Job) -> None:
        """To the end of the queue: it could not be done now."""
        await self._redis.lpush(WAITING, json.dumps(asdict(job)))
        await self._forget(worker, job)

    async def fail(self, worker: str, job: Job, reason: str) -> None:
        """Put it aside for a person to look at: another attempt would end the same way."""
        await self._redis.lpush(FAILED, json.dumps({**asdict(job), "reason": reason}))
        await self._forget(worker, job)

    async def beat(self, worker: str, seconds: float) -> None:
        """This worker counts as alive for `seconds` from now."""
        await self._redis.sadd(WORKERS, worker)
        await self._redis.set(f"jobs:alive:{worker}", "", px=round(seconds * 1000))

    async def reclaim(self) -> int:
        """Put what dead workers had taken back to the front of the queue; how many jobs."""
        count = 0
        for name in await self._redis.smembers(WORKERS):
            worker = name.decode() if isinstance(name, bytes) else name
            if await self._redis.exists(f"jobs:alive:{worker}"):
                continue
            while await self._redis.lmove(_taken(worker), WAITING, "LEFT", "RIGHT") is not None:
                count += 1
            await self._redis.srem(WORKERS, worker)
        return count

    async def _forget(self, worker: str, job: Job) -> None:
        await self._redis.lrem(_taken(worker), 1, json.dumps(asdict(job)))


def _taken(worker: str) -> str:
    return f"jobs:of:{worker}"
