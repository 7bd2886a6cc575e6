"""Scenario 2: several workers on one queue. One is killed in mid-job, and no job is lost."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest_asyncio
from redis.asyncio import Redis

from examples.background.jobs import FAILED, WAITING, Jobs
from examples.offline import text_of
from tests.integration.programs import STARTED, Programs, programs
from turnwise import RedisSession
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

PREFIX = "analysis:sessions:"


class Office:
    """A queue, and workers by pid."""

    def __init__(self, server: ValkeyServer, client: Redis, started: Programs) -> None:
        self.jobs = Jobs(client)
        self.client: Any = client
        self.session = RedisSession(client=client, key_prefix=PREFIX)
        self.workers: dict[int, Process] = {}
        self._url = server.url
        self._started = started

    def hire(self, model_seconds: float = 0) -> Process:
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
        """Wait for what the workers bring about; tell what they said if they do not."""
        try:
            await until(condition, STARTED, what)
        except TimeoutError as error:
            logs = {pid: (worker.alive, worker.log()) for pid, worker in self.workers.items()}
            raise AssertionError(
                f"{error}; workers, alive or not, and their logs: {logs}"
            ) from error

    async def at_work(self, name: str) -> int | None:
        """The pid of the worker that runs a turn of the session."""
        info = await self.session.info(name)
        if info is None or info.open_turn is None:
            return None
        return next((pid for pid in self.workers if f":{pid}:" in info.open_turn.worker), None)

    async def turns(self, name: str) -> list[tuple[str, str]]:
        """What was said and answered, turn by turn; fails if turns are not contiguous."""
        items = [dict(item) for item in await self.session.bind(name).get_items()]
        assert [item["role"] for item in items] == ["user", "assistant"] * (len(items) // 2)
        texts = [text_of(item) for item in items]
        return list(zip(texts[::2], texts[1::2], strict=True))

    async def is_empty(self) -> bool:
        """Nothing waits, nothing is taken, nothing failed."""
        left = [key async for key in self.client.scan_iter("jobs:of:*")]
        return not left and not await self.client.exists(WAITING, FAILED)


@pytest_asyncio.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    async with (
        ValkeyServer() as server,
        Redis.from_url(server.url) as client,
        programs(tmp_path) as started,
    ):
        yield Office(server, client, started)


async def test_every_job_is_answered_once_though_a_worker_is_killed(office: Office) -> None:
    names = [f"session:usr_{user}:conv_1" for user in range(4)]
    jobs = [
        await office.jobs.enqueue(name, f"{number}", f"{name}.{number}")
        for number in range(5)
        for name in names
    ]
    jobs.append(await office.jobs.enqueue(names[0], "0", jobs[0].id))  # sent twice
    for _ in range(3):
        office.hire(model_seconds=0.1)
    await kill_in_mid_job(office, names)
    answers = await office.answered([job.id for job in jobs])

    await office.wait(office.is_empty, "the queue was empty")
    assert answers[-1] == answers[0]
    stored: Counter[str] = Counter()
    for name in names:
        turns = await office.turns(name)
        assert sorted(said for said, _ in turns) == ["0", "1", "2", "3", "4"]
        for number, (said, answer) in enumerate(turns, 1):
            assert answer.startswith(f"Message {number} of our conversation is {said!r}.")
        stored.update(answer for _, answer in turns)
    assert Counter(answers[:-1]) == stored


async def kill_in_mid_job(office: Office, names: list[str]) -> None:
    async def killed() -> bool:
        for name in names:
            pid = await office.at_work(name)
            if pid is None:
                continue
            office.workers[pid].pause()
            if await office.at_work(name) == pid:
                await office.workers[pid].kill()
                return True
            office.workers[pid].resume()
        return False

    await office.wait(killed, "a worker was at work")


async def test_a_killed_worker_that_had_committed_is_not_run_again(office: Office) -> None:
    """It died between the commit and its word to the queue."""
    enqueuer = office.enqueue("s", "Hello", "--job-id", "job-1", "--wait")
    worker = office.hire()

    async def ended() -> bool:
        return not enqueuer.alive

    await office.wait(ended, "the answer came")
    await worker.kill()
    [(_, answer)] = turns = await office.turns("s")
    assert enqueuer.log().strip() == answer

    await office.client.delete("jobs:answer:job-1")
    [name] = await office.client.smembers("jobs:workers")
    job = {"id": "job-1", "session_id": "s", "message": "Hello"}
    await office.client.lpush(f"jobs:of:{name.decode()}", json.dumps(job))
    office.hire()
    assert await office.answered(["job-1"]) == [answer]
    assert await office.turns("s") == turns
    await office.wait(office.is_empty, "the queue was empty")


async def test_a_bad_job_is_put_aside_and_a_stopped_worker_finishes_its_job(
    office: Office,
) -> None:
    await office.jobs.enqueue("", "nobody's message", "bad")
    jobs = [await office.jobs.enqueue("s", f"{number}") for number in range(30)]
    worker = office.hire(model_seconds=0.2)

    async def at_work() -> bool:
        return await office.at_work("s") == worker.pid

    await office.wait(at_work, "a job was begun")
    await worker.terminate(timeout=10)
    answers = [await office.jobs.answer(job.id) for job in jobs]
    turns = await office.turns("s")
    assert [answer for answer in answers if answer] == [answer for _, answer in turns]
    assert await office.client.llen(WAITING) == len(jobs) - len(turns) > 0
    assert [key async for key in office.client.scan_iter("jobs:of:*")] == []
    [failed] = await office.client.lrange(FAILED, 0, -1)
    assert "InvalidSessionId" in json.loads(failed)["reason"]
