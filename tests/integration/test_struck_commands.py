"""A KeyboardInterrupt between a command and its reply: nobody is given another's reply."""

from __future__ import annotations

import json

import pytest

from tests.integration.programs import Programs, ready
from tests.integration.struck_program import NAMES
from turnwise.testing.proxy import DelayReply, FaultProxy
from turnwise.testing.servers import ValkeyCluster, ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_server_that_answers_late(server: ValkeyServer, started: Programs) -> None:
    """The reply that nobody read is on its way when the next command is sent."""
    async with FaultProxy.before(server.url) as proxy:
        proxy.faults = lambda _: DelayReply(0.05)
        await each_reads_its_own(started, proxy.url)


async def test_a_node_of_a_cluster(started: Programs) -> None:
    """Its client does not look whether something is left to read."""
    async with ValkeyCluster() as cluster:
        await each_reads_its_own(started, f"redis+cluster://{cluster.node_url.partition('://')[2]}")


async def each_reads_its_own(started: Programs, url: str) -> None:
    process = started.python("-m", "tests.integration.struck_program", url)

    async def is_done() -> bool:
        return process.log().count("{") == 3

    await ready(process, is_done, "the program read three times")
    lines = process.log().splitlines()
    assert lines.count("struck") == len(NAMES)
    own = {name: [f"{name}'s text"] for name in NAMES}
    assert [json.loads(line) for line in lines if line.startswith("{")] == [own] * 3
