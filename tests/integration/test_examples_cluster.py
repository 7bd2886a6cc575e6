"""Scenario 3: workers of two regions share sessions on one Cluster, through a failover too."""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import RedisCluster

from examples.offline import text_of
from tests.integration.programs import ROOT
from turnwise import RedisSession
from turnwise.testing.servers import ValkeyCluster

pytestmark = pytest.mark.asyncio(loop_scope="module")
NAME = "session:usr_1:conv_1"
PREFIX = "global:sessions:"


class Region:
    """A worker of one region, with its standard input and output."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def send(self, message: str, turn_id: str, session_id: str = NAME) -> None:
        request = {"session_id": session_id, "message": message, "turn_id": turn_id}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request).encode() + b"\n")
        await self._process.stdin.drain()

    async def receive(self) -> dict[str, str]:
        assert self._process.stdout is not None
        line = await self._process.stdout.readline()
        assert line, "the worker exited"
        reply: dict[str, str] = json.loads(line)
        return reply

    async def ask(self, message: str, turn_id: str, session_id: str = NAME) -> str:
        await self.send(message, turn_id, session_id)
        reply = await self.receive()
        assert reply["turn_id"] == turn_id
        return reply.get("response") or reply["error"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster() -> AsyncIterator[ValkeyCluster]:
    async with ValkeyCluster(node_timeout=1_000) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def regions(cluster: ValkeyCluster) -> AsyncIterator[list[Region]]:
    async with AsyncExitStack() as stack:
        yield [
            Region(await stack.enter_async_context(_worker(cluster, name))) for name in ("eu", "us")
        ]


@asynccontextmanager
async def _worker(cluster: ValkeyCluster, region: str) -> AsyncIterator[Process]:
    environment = {**os.environ, "REDIS_URL": cluster.node_url, "LEASE_SECONDS": "2"}
    environment.pop("OPENAI_API_KEY", None)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "examples.cluster.worker", "--region", region),
        cwd=ROOT,
        env=environment,
        stdin=PIPE,
        stdout=PIPE,
    )
    assert process.stdin is not None
    try:
        yield process
    finally:
        process.stdin.close()  # the worker exits at the end of its input
        assert await process.wait() == 0


async def turns(cluster: ValkeyCluster, session_id: str) -> list[tuple[str, str]]:
    async with RedisCluster.from_url(cluster.node_url) as client:
        session = RedisSession(client=client, key_prefix=PREFIX).bind(session_id)
        items: list[dict[str, Any]] = [dict(item) for item in await session.get_items()]
    assert [item["role"] for item in items] == ["user", "assistant"] * (len(items) // 2)
    texts = [text_of(item) for item in items]
    return list(zip(texts[::2], texts[1::2], strict=True))


async def test_regions_see_each_others_turns(cluster: ValkeyCluster, regions: list[Region]) -> None:
    eu, us = regions
    first = await eu.ask("Hello", "turn-1")
    second = await us.ask("Follow up", "turn-2")
    third = await eu.ask("And again", "turn-3")
    assert first == "Message 1 of our conversation is 'Hello'. We have just met."
    assert second.endswith("'Follow up'. Before that you said: 'Hello'.")
    assert third.endswith("'And again'. Before that you said: 'Follow up'.")
    assert await us.ask("And again", "turn-3") == third
    assert await turns(cluster, NAME) == [
        ("Hello", first),
        ("Follow up", second),
        ("And again", third),
    ]


@pytest.mark.parametrize("how", ["planned", "killed"])
async def test_a_failover_during_turns(
    how: str, cluster: ValkeyCluster, regions: list[Region]
) -> None:
    """Both regions send turns to one session while its primary is replaced."""
    name = f"session:usr_1:{how}"
    async with RedisCluster.from_url(cluster.node_url) as client:
        slot = client.keyslot(PREFIX + name)
    answers = {"0": await regions[0].ask("0", "turn-0", name)}
    replaced = asyncio.Event()

    async def send_turns(number: int, region: Region) -> None:
        """Ten turns during the failover, and then one more."""
        count = 0
        while not replaced.is_set() or count < 10:
            count += 1
            message = f"{number}.{count}"
            answers[message] = await region.ask(message, f"turn-{message}", name)

    senders = [asyncio.create_task(send_turns(*each)) for each in enumerate(regions, 1)]
    try:
        await replace_primary(cluster, slot, how)
    finally:
        replaced.set()
        await asyncio.gather(*senders)
    stored = await turns(cluster, name)
    assert len(dict(stored)) == len(stored)
    assert dict(stored).items() <= answers.items()
    # A killed primary may not have replicated its last writes; a planned failover loses none.
    assert len(answers) - len(stored) <= (0 if how == "planned" else len(regions))
    for number, (message, answer) in enumerate(stored, 1):
        assert answer.startswith(f"Message {number} of our conversation is {message!r}.")


async def replace_primary(cluster: ValkeyCluster, slot: int, how: str) -> None:
    if how == "planned":
        await cluster.failover(slot)
        return
    old = await cluster.primary_of(slot)
    await old.kill()
    await cluster.wait_primary_changed(slot, old)
    await old.restart()
    await cluster.wait_ready()
