"""Faults of servers that stand together."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from tests.doctor.lab import found, shipped
from turnwise.testing.servers import ValkeyCluster, ValkeySentinel
from turnwise.testing.servers.waiting import until


@pytest.fixture(autouse=True)
def collected() -> Iterator[None]:
    """What an event loop leaves is collected where the warnings of the test are ignored."""
    yield
    gc.collect()


async def test_faults_behind_sentinel() -> None:
    async with ValkeySentinel(config=shipped("replicated.conf")) as servers:
        assert await found(servers.url) == set()
        asked = servers.sentinels[0]
        await asked.command("SENTINEL", "SET", servers.name, "quorum", 9)
        assert await found(servers.url) == {"sentinel-quorum"}
        await asked.command("SENTINEL", "SET", servers.name, "quorum", 2)
        await servers.sentinels[2].kill()
        assert await found(servers.url) == {"sentinel-silent"}
        primary = await servers.primary()
        (replica,) = [node for node in servers.nodes if node is not primary]
        replica.pause()
        assert "server-silent" in await found(servers.url)
        replica.resume()
        await replica.kill()
        await primary.command("CONFIG", "SET", "min-replicas-to-write", 0)

        async def alone() -> bool:
            return "no-replica" in await found(servers.url)

        await until(alone, 60, "the primary was alone")


async def test_two_sentinels_are_few() -> None:
    async with ValkeySentinel(sentinels=2, config=shipped("replicated.conf")) as servers:
        assert await found(servers.url) == {"few-sentinels"}


# redis-py drops the nodes of a failed cluster without closing their connections.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_faults_of_a_cluster() -> None:
    async with ValkeyCluster(3, 0, config=shipped("cluster.conf")) as cluster:
        for node in cluster.nodes:
            await node.command("CONFIG", "SET", "min-replicas-to-write", 0)
        assert await found(cluster.url) == {"no-replica"}
        await cluster.nodes[2].kill()

        async def seen() -> bool:
            return {"slots-uncovered", "node-failed"} <= await found(cluster.url)

        await until(seen, 60, "the others knew that a node had failed")
