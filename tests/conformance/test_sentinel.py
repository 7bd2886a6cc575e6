"""Three Sentinels, a primary and a replica: the primary changes while turns run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.conformance.connections import ConnectionConformance
from tests.conformance.labs import PREFIX, RedisLab
from turnwise.errors import StoreUnavailable
from turnwise.stores.redis import RedisStore, sentinel_client
from turnwise.testing.conformance import Lab
from turnwise.testing.conformance.lab import added, begun, contents, expect, items, mint, try_begin
from turnwise.testing.servers import Node, ValkeySentinel
from turnwise.testing.servers.waiting import until
from turnwise.types import Done, Grant


def _connect(sentinel: ValkeySentinel, patience: float = 60) -> RedisStore:
    client = sentinel_client(
        sentinel.addresses, sentinel.name, "redis://sentinel/0", sentinel_login={}
    )
    return RedisStore(client, key_prefix=PREFIX, owned=True, patience=patience)


class TestSentinel(ConnectionConformance):
    @pytest.fixture
    async def lab(self, sentinel: ValkeySentinel) -> AsyncIterator[Lab]:
        await (await sentinel.primary()).command("FLUSHALL")
        lab = RedisLab(
            lambda: sentinel_client(
                sentinel.addresses, sentinel.name, "redis://sentinel/0", sentinel_login={}
            )
        )
        yield lab
        await lab.aclose()


async def test_turns_go_on_over_a_failover(sentinel: ValkeySentinel) -> None:
    store, session_id = _connect(sentinel), mint()
    failover = asyncio.create_task(sentinel.failover())
    count = 0
    while not failover.done() or count < 20:
        token, turn_id = mint(), mint()
        answer = await try_begin(store, session_id, turn_id, token=token)
        grant = expect(Grant, answer)
        answer = await store.commit(session_id, turn_id, token, grant.tip, mint(), items(count))
        # What the old primary acknowledged in its last moment may be lost: a suffix, no hole.
        count += isinstance(answer, Done)
        if not isinstance(answer, Done):
            await store.abort(session_id, turn_id, token)
    await failover
    kept = await contents(store, session_id)
    numbers = [int(content.split(b'"')[3]) for content in kept]
    assert numbers == sorted(set(numbers))
    assert numbers[-1] == count - 1
    await store.aclose()


async def test_a_failover_starts_a_sweep(sentinel: ValkeySentinel) -> None:
    await sentinel.wait_ready()
    store = _connect(sentinel)
    session_id = mint()
    await store.submit(session_id, "t", b"one")
    assert await store.ready.sweep(force=True) >= 1
    assert await store.ready.sweep() == 0
    await sentinel.failover()
    await sentinel.wait_ready()
    assert await store.ready.sweep() >= 1
    assert session_id in {claim.session_id for claim in await store.ready.claim("w", 1000, 0)}
    await store.delete(session_id)
    await store.aclose()


async def test_a_killed_primary_costs_at_most_a_suffix_of_turns(sentinel: ValkeySentinel) -> None:
    await sentinel.wait_ready()
    store, session_id = _connect(sentinel), mint()
    for number in range(10):
        await added(store, session_id, number)
    turn = await begun(store, session_id, "t")
    old = await sentinel.primary()
    await old.kill()
    grant = expect(Grant, await try_begin(store, session_id, "t", token=turn.token))
    kept = await contents(store, session_id)
    assert kept == items(*range(10))[: len(kept)]
    assert isinstance(await store.commit(*turn.ids, grant.tip, mint(), items("after")), Done)
    assert await contents(store, session_id) == [*kept, *items("after")]
    await store.aclose()
    await old.restart()
    await sentinel.wait_ready()


async def test_a_primary_that_may_not_write_without_replicas(sentinel: ValkeySentinel) -> None:
    await sentinel.wait_ready()
    hasty, patient, session_id = _connect(sentinel, 0.1), _connect(sentinel), mint()
    await added(patient, session_id, "before")
    primary = await sentinel.primary()
    (replica,) = [node for node in sentinel.nodes if node is not primary]
    async with _needs_replicas(primary):
        replica.pause()
        await until(lambda: _alone(primary), 10, "the primary was alone")
        with pytest.raises(StoreUnavailable, match="NOREPLICAS"):
            await begun(hasty, session_id, "t")
        before = await _refusals(primary)

        async def refused() -> bool:
            return await _refusals(primary) > before

        waiting = asyncio.create_task(added(patient, session_id, "after"))
        await until(refused, 10, "the call that waits was refused")
        assert await contents(hasty, session_id) == items("before")
        replica.resume()
        await waiting
    await sentinel.wait_ready()
    assert await contents(hasty, session_id) == items("before", "after")
    await asyncio.gather(hasty.aclose(), patient.aclose())


@asynccontextmanager
async def _needs_replicas(primary: Node) -> AsyncIterator[None]:
    """One that it has heard from within a second or so."""
    await primary.command("CONFIG", "SET", "min-replicas-max-lag", 1)
    await primary.command("CONFIG", "SET", "min-replicas-to-write", 1)
    try:
        yield
    finally:
        await primary.command("CONFIG", "SET", "min-replicas-to-write", 0)
        await primary.command("CONFIG", "SET", "min-replicas-max-lag", 10)


async def _alone(primary: Node) -> bool:
    return (await primary.info("replication"))["min_slaves_good_slaves"] == "0"


async def _refusals(primary: Node) -> int:
    return int((await primary.info("errorstats"))["errorstat_NOREPLICAS"].removeprefix("count="))
