"""Scenario 2: several workers on one job queue. A killed worker loses no job."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis

from examples.background.jobs import FAILED, QUEUE, Jobs
from examples.offline import text_of
from tests.integration.programs import STARTED, Programs, programs
from turnwise import RedisSession
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

PREFIX = "analysis:sessions:"


class WorkerPool:
    """A job queue, and workers by pid."""

    def __init__(self, server: ValkeyServer, client: Redis, started: Programs) -> None:
        self.jobs = Jobs(client)
        self.client: Any = client
        self.session = RedisSession(client=client, key_prefix=PREFIX)
        self.workers: dict[int, Process] = {}
        self._url = server.url
        self._started = started

    def start_worker(self, model_seconds: float = 0) -> Process:
        process = self._started.python(
            *("-m", "examples.background.worker"),
            environment={
                "REDIS_URL": self._url,
                "LEASE_SECONDS": "1.5",
                "OFFLINE_MODEL_SECONDS": str(model_seconds),
            },
        )
        self.workers[process.pid] = process
        return process

    def enqueue(self, name: str, *arguments: str) -> Process:
        return self._started.python(
            *("-m", "examples.background.enqueue", name, *arguments),
            environment={"REDIS_URL": self._url},
        )

    async def answered(self, ids: list[str]) -> list[str]:
        """Wait until all jobs have an answer."""

        async def all_are() -> bool:
            return all([await self.jobs.answer(job_id) is not None for job_id in ids])

        await self.wait(all_are, f"{len(ids)} jobs were answered")
        return [str(await self.jobs.answer(job_id)) for job_id in ids]

    async def wait(self, condition: Callable[[], Awaitable[bool]], what: str) -> None:
        """Wait for an effect of the workers; on a timeout, fail with their logs."""
        try:
            await until(condition, STARTED, what)
        except TimeoutError as error:
            logs = {pid: (worker.alive, worker.log()) for pid, worker in self.workers.items()}
            raise AssertionError(f"{error}; workers (alive?, log): {logs}") from error

    async def busy_worker(self, name: str) -> int | None:
        """The pid of the worker that runs a turn of the session."""
        info = await self.session.info(name)
        if info is None or info.open_turn is None:
            return None
        return next((pid for pid in self.workers if f":{pid}:" in info.open_turn.worker), None)

    async def turns(self, name: str) -> list[tuple[str, str]]:
        """Message and answer of each turn; fails if turns are not contiguous."""
        items = [dict(item) for item in await self.session.bind(name).get_items()]
        assert [item["role"] for item in items] == ["user", "assistant"] * (len(items) // 2)
        texts = [text_of(item) for item in items]
        return list(zip(texts[::2], texts[1::2], strict=True))

    async def is_empty(self) -> bool:
        """No job is queued, processing or failed."""
        left = [key async for key in self.client.scan_iter("jobs:processing:*")]
        return not left and not await self.client.exists(QUEUE, FAILED)


@pytest_asyncio.fixture
async def pool(tmp_path: Path) -> AsyncIterator[WorkerPool]:
    async with (
        ValkeyServer() as server,
        Redis.from_url(server.url) as client,
        programs(tmp_path) as started,
    ):
        yield WorkerPool(server, client, started)


async def test_every_job_is_answered_once_after_a_worker_is_killed(pool: WorkerPool) -> None:
    names = [f"session:usr_{user}:conv_1" for user in range(4)]
    jobs = [
        await pool.jobs.enqueue(name, f"{number}", f"{name}.{number}")
        for number in range(5)
        for name in names
    ]
    jobs.append(await pool.jobs.enqueue(names[0], "0", jobs[0].id))  # enqueued twice
    for _ in range(3):
        pool.start_worker(model_seconds=0.1)
    await kill_in_mid_job(pool, names)
    answers = await pool.answered([job.id for job in jobs])

    await pool.wait(pool.is_empty, "the queue was empty")
    assert answers[-1] == answers[0]
    stored: Counter[str] = Counter()
    for name in names:
        turns = await pool.turns(name)
        assert sorted(message for message, _ in turns) == ["0", "1", "2", "3", "4"]
        for number, (message, answer) in enumerate(turns, 1):
            assert answer.startswith(f"Message {number} of our conversation is {message!r}.")
        stored.update(answer for _, answer in turns)
    assert Counter(answers[:-1]) == stored


async def kill_in_mid_job(pool: WorkerPool, names: list[str]) -> None:
    async def killed() -> bool:
        for name in names:
            pid = await pool.busy_worker(name)
            if pid is None:
                continue
            pool.workers[pid].pause()
            if await pool.busy_worker(name) == pid:
                await pool.workers[pid].kill()
                return True
            pool.workers[pid].resume()
        return False

    await pool.wait(killed, "a worker ran a job")


async def test_a_job_that_was_committed_before_the_kill_does_not_run_again(
    pool: WorkerPool,
) -> None:
    """The worker died between the commit and the update of the queue."""
    enqueuer = pool.enqueue("s", "Hello", "--job-id", "job-1", "--wait")
    worker = pool.start_worker()

    async def ended() -> bool:
        return not enqueuer.alive

    await pool.wait(ended, "the answer came")
    await worker.kill()
    [(_, answer)] = turns = await pool.turns("s")
    assert enqueuer.log().strip() == answer

    await pool.client.delete("jobs:answer:job-1")
    [name] = await pool.client.smembers("jobs:workers")
    job = {"id": "job-1", "session_id": "s", "message": "Hello"}
    await pool.client.lpush(f"jobs:processing:{name.decode()}", json.dumps(job))
    pool.start_worker()
    assert await pool.answered(["job-1"]) == [answer]
    assert await pool.turns("s") == turns
    await pool.wait(pool.is_empty, "the queue was empty")


async def test_a_bad_job_is_marked_failed_and_a_stopped_worker_completes_its_job(
    pool: WorkerPool,
) -> None:
    await pool.jobs.enqueue("", "nobody's message", "bad")
    jobs = [await pool.jobs.enqueue("s", f"{number}") for number in range(30)]
    worker = pool.start_worker(model_seconds=0.2)

    async def is_busy() -> bool:
        return await pool.busy_worker("s") == worker.pid

    await pool.wait(is_busy, "a job began")
    await worker.terminate(timeout=10)
    answers = [await pool.jobs.answer(job.id) for job in jobs]
    turns = await pool.turns("s")
    assert [answer for answer in answers if answer] == [answer for _, answer in turns]
    assert await pool.client.llen(QUEUE) == len(jobs) - len(turns) > 0
    assert [key async for key in pool.client.scan_iter("jobs:processing:*")] == []
    [failed] = await pool.client.lrange(FAILED, 0, -1)
    assert "InvalidSessionId" in json.loads(failed)["reason"]
