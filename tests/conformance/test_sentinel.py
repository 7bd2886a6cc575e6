"""Three Sentinels, a primary and a replica: the primary changes while turns go on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.conformance.connections import ConnectionConformance
from tests.conformance.labs import PREFIX, RedisLab
from turnwise.stores.redis import RedisStore, sentinel_client
from turnwise.testing.conformance import Lab
from turnwise.testing.conformance.lab import added, asked, begun, contents, expect, items, mint
from turnwise.testing.servers import ValkeySentinel
from turnwise.types import Done, Grant


def _connect(sentinel: ValkeySentinel) -> RedisStore:
    client = sentinel_client(
        sentinel.addresses, sentinel.name, "redis://sentinel/0", sentinel_login={}
    )
    return RedisStore(client, key_prefix=PREFIX, owned=True, patience=60)


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
        answer = await asked(store, session_id, turn_id, token=token)
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
    assert session_id in {wakeup.session_id for wakeup in await store.ready.claim("w", 1000, 0)}
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
    grant = expect(Grant, await asked(store, session_id, "t", token=turn.token))
    kept = await contents(store, session_id)
    assert kept == items(*range(10))[: len(kept)]
    assert isinstance(await store.commit(*turn.ids, grant.tip, mint(), items("after")), Done)
    assert await contents(store, session_id) == [*kept, *items("after")]
    await store.aclose()
    await old.restart()
    await sentinel.wait_ready()
