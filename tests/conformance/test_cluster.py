"""A Cluster of three primaries and three replicas: slots move, primaries change."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import RedisCluster
from redis.crc import key_slot

from tests.conformance.labs import PREFIX, RedisLab
from turnwise.contracts import Store
from turnwise.stores.redis import RedisStore, cluster_client
from turnwise.stores.redis.keys import Keys
from turnwise.testing.conformance import Lab, StoreConformance
from turnwise.testing.conformance.background import BackgroundConformance
from turnwise.testing.conformance.concurrency import ConcurrencyConformance
from turnwise.testing.conformance.events import EventsConformance
from turnwise.testing.conformance.history import HistoryConformance
from turnwise.testing.conformance.lab import added, begun, contents, expect, items, mint, try_begin
from turnwise.testing.conformance.operators import OperatorsConformance
from turnwise.testing.conformance.random_calls import RandomCallsConformance
from turnwise.testing.servers import Node, ValkeyCluster
from turnwise.types import Done, Grant, Info


class TestCluster(StoreConformance):
    @pytest.fixture
    async def lab(self, cluster: ValkeyCluster) -> AsyncIterator[Lab]:
        await _flush(cluster)
        lab = RedisLab(lambda: cluster_client(cluster.node_url))
        yield lab
        await lab.aclose()


class TestClusterThroughAnApplicationsClient(
    HistoryConformance,
    BackgroundConformance,
    EventsConformance,
    OperatorsConformance,
    ConcurrencyConformance,
    RandomCallsConformance,
):
    """Decoded responses, the default retries."""

    @pytest.fixture
    async def lab(self, cluster: ValkeyCluster) -> AsyncIterator[Lab]:
        await _flush(cluster)
        lab = RedisLab(lambda: RedisCluster.from_url(cluster.node_url, decode_responses=True))
        yield lab
        await lab.aclose()


async def _flush(cluster: ValkeyCluster) -> None:
    for node in cluster.living:
        if await node.is_primary():
            await node.command("FLUSHALL")


@asynccontextmanager
async def _store(cluster: ValkeyCluster) -> AsyncIterator[Store]:
    store = RedisStore(cluster_client(cluster.node_url), key_prefix=PREFIX, owned=True, patience=30)
    try:
        yield store
    finally:
        await store.aclose()


def _slot(session_id: str) -> int:
    return key_slot(Keys(PREFIX).session(session_id).encode())


async def _another_primary(cluster: ValkeyCluster, than: Node) -> Node:
    primaries = [node for node in cluster.living if await node.is_primary()]
    return next(node for node in primaries if node is not than)


async def _turns_meanwhile(
    store: Store, session_id: str, work: Callable[[], Awaitable[object]]
) -> int:
    """Turn after turn until `work` is done; each is whole, once, and in its order."""
    working = asyncio.ensure_future(work())
    count = 0
    while not working.done() or count < 20:
        turn = await begun(store, session_id, one_shot=True)
        assert turn.grant.items == 2 * count
        assert isinstance(await turn.commit(*items(count, -count)), Done)
        count += 1
    await working
    expected = [content for number in range(count) for content in items(number, -number)]
    assert await contents(store, session_id) == expected
    return count


async def test_a_live_migration_of_its_slot_is_not_noticed(cluster: ValkeyCluster) -> None:
    await _flush(cluster)
    session_id = mint()
    slot = _slot(session_id)
    source = await cluster.primary_of(slot)
    target = await _another_primary(cluster, source)

    async def there_and_back() -> None:
        await cluster.migrate(slot, target)
        await cluster.migrate(slot, source)

    async with _store(cluster) as store:
        await _turns_meanwhile(store, session_id, there_and_back)


async def test_a_session_begun_before_a_migration_is_kept_by_its_first_commit(
    cluster: ValkeyCluster,
) -> None:
    session_id = mint()
    slot = _slot(session_id)
    source = await cluster.primary_of(slot)
    target = await _another_primary(cluster, source)
    async with _store(cluster) as store:
        turn = await begun(store, session_id)
        await cluster.migrate(slot, target)
        await store.renew(*turn.ids)
        await cluster.migrate(slot, source)
        assert isinstance(await turn.commit(*items(1)), Done)
        assert expect(Info, await store.info(session_id)).expires_in is None


async def test_new_sessions_are_made_while_their_slot_moves(cluster: ValkeyCluster) -> None:
    names = [f"{{x}}{number}" for number in range(8)]
    assert len({_slot(name) for name in names}) > 1  # a brace in an id chooses no slot
    session_id = mint()
    slot = _slot(session_id)
    source = await cluster.primary_of(slot)
    target = await _another_primary(cluster, source)
    async with _store(cluster) as store:
        async with cluster.migration(slot, target) as migration:
            await added(store, session_id, 1)
            await added(store, session_id, 2)
            await migration.move()
            await added(store, session_id, 3)
        await added(store, session_id, 4)
        assert await contents(store, session_id) == items(1, 2, 3, 4)
        await cluster.migrate(slot, source)


async def test_a_graceful_failover_loses_nothing(cluster: ValkeyCluster) -> None:
    await _flush(cluster)
    session_id = mint()
    async with _store(cluster) as store:

        async def failover() -> None:
            await cluster.failover(_slot(session_id))

        await _turns_meanwhile(store, session_id, failover)


async def test_a_killed_primary_costs_at_most_a_suffix_of_turns(cluster: ValkeyCluster) -> None:
    session_id = mint()
    async with _store(cluster) as store:
        for number in range(10):
            await added(store, session_id, number)
        turn = await begun(store, session_id, "t")
        old = await cluster.primary_of(_slot(session_id))
        await old.kill()
        await cluster.wait_primary_changed(_slot(session_id), old)
        grant = expect(Grant, await try_begin(store, session_id, "t", token=turn.token))
        kept = await contents(store, session_id)
        assert kept == items(*range(10))[: len(kept)]
        assert isinstance(await store.commit(*turn.ids, grant.tip, mint(), items("after")), Done)
        assert await contents(store, session_id) == [*kept, *items("after")]
        await old.restart()
        await cluster.wait_ready()


async def test_the_first_commands_of_many_callers_go_to_the_right_nodes(
    cluster: ValkeyCluster,
) -> None:
    """A client that knows no nodes yet does not send them to any."""
    await _flush(cluster)
    for node in cluster.living:
        await node.command("CONFIG", "RESETSTAT")
    async with _store(cluster) as store:
        await asyncio.gather(*(added(store, mint(), 1) for _ in range(24)))
    for node in cluster.living:
        assert "errorstat_MOVED" not in await node.info("errorstats")


async def test_one_session_s_slot_moves_while_its_node_is_asked_in_pipelines(
    cluster: ValkeyCluster,
) -> None:
    await _flush(cluster)
    moved = mint()
    source = await cluster.primary_of(_slot(moved))
    target = await _another_primary(cluster, source)
    primaries = {
        name: await cluster.primary_of(_slot(name)) for name in (mint() for _ in range(60))
    }
    names = [moved, *(name for name, primary in primaries.items() if primary is source)]
    await source.command("CONFIG", "RESETSTAT")
    async with _store(cluster) as store:

        async def append(number: int) -> None:
            # The one whose slot moves is neither the first nor the second, which go alone.
            ordered = [*names[1:], names[0]]
            await asyncio.gather(*(added(store, name, name, number) for name in ordered))

        await append(0)
        async with cluster.migration(_slot(moved), target) as migration:
            await migration.move()
            await append(1)
        await append(2)
        for name in names:
            expected = [each for number in range(3) for each in items(name, number)]
            assert await contents(store, name) == expected
    errors = await source.info("errorstats")
    assert {"errorstat_ASK", "errorstat_MOVED"} <= set(errors)
    await cluster.migrate(_slot(moved), source)


@pytest.fixture
def collected() -> Iterator[None]:
    yield
    gc.collect()


# Following MOVED, redis-py drops nodes without closing their connections.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.usefixtures("collected")
async def test_a_moving_slot_is_followed_with_two_connections_to_its_target(
    cluster: ValkeyCluster,
) -> None:
    """redis-py sends ASKING on one of them and the command on the other."""
    await _flush(cluster)
    moved = mint()
    source = await cluster.primary_of(_slot(moved))
    target = await _another_primary(cluster, source)
    there: list[str] = []
    while len(there) < 2:
        if await cluster.primary_of(_slot(name := mint())) is target:
            there.append(name)
    async with _store(cluster) as store:
        await added(store, moved, moved, 0)
        await asyncio.gather(*(added(store, name, name) for name in there))
        async with cluster.migration(_slot(moved), target) as migration:
            await migration.move()
            await added(store, moved, moved, 1)
            assert await contents(store, moved) == items(moved, 0) + items(moved, 1)
    await cluster.migrate(_slot(moved), source)


async def test_a_dead_primary_fails_no_pipeline_of_the_others(cluster: ValkeyCluster) -> None:
    await _flush(cluster)
    names = [mint() for _ in range(40)]
    async with _store(cluster) as store:
        await asyncio.gather(*(added(store, name, name) for name in names))
        old = await cluster.primary_of(_slot(names[0]))
        others = [name for name in names if await cluster.primary_of(_slot(name)) is not old]
        await old.kill()
        asked = asyncio.gather(*(store.info(name) for name in names))
        assert await asyncio.gather(*(contents(store, name) for name in others)) == [
            items(name) for name in others
        ]
        await cluster.wait_primary_changed(_slot(names[0]), old)
        assert [expect(Info, info).session_id for info in await asked] == names
        await old.restart()
        await cluster.wait_ready()
