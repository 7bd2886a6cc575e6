"""A reply is lost after the server did the work; the verb is sent again, by us or the client."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff

from tests.conformance.labs import PREFIX, RedisLab
from tests.conformance.verb_scenarios import SCENARIOS, Scenario
from turnwise.contracts import Store
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.testing.conformance.lab import (
    added,
    contents,
    items,
)
from turnwise.testing.conformance.random_calls import Run
from turnwise.testing.proxy import (
    Command,
    DelayRequest,
    Fault,
    FaultProxy,
    LoseReply,
    lose_next,
    lose_replies,
)
from turnwise.testing.servers import ValkeyServer
from turnwise.types import Info

COMMANDS = {"EVALSHA", "EVAL", "LRANGE", "LINDEX", "SCAN", "PING"}

# As many retries as redis-py has by default, without its pauses of a second.
RETRIES: dict[str, Any] = {"retry": Retry(ExponentialBackoff(cap=0.01, base=0.001), 10)}
CLIENTS: dict[str, Callable[[str], Redis]] = {
    "ours": standalone_client,
    "retrying": lambda url: Redis.from_url(url, **RETRIES),
    "retrying and decoding": lambda url: Redis.from_url(url, decode_responses=True, **RETRIES),
}


@pytest.fixture
async def ready(valkey: ValkeyServer) -> AsyncIterator[Store]:
    await valkey.command("FLUSHALL")
    lab = RedisLab(lambda: standalone_client(valkey.url))
    yield lab.store()
    await lab.aclose()


@pytest.fixture
async def proxy(valkey: ValkeyServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(valkey.url) as proxy:
        yield proxy


@asynccontextmanager
async def _lossy(client: Redis) -> AsyncIterator[Store]:
    store = RedisStore(client, key_prefix=PREFIX)
    try:
        yield store
    finally:
        await store.aclose()
        await client.aclose()


async def _state(store: Store, session_id: str) -> object:
    info = await store.info(session_id)
    if not isinstance(info, Info):
        return info
    opened = info.open_turn
    turn = opened and (opened.attempt, opened.state, opened.cancel_mode)
    held = await contents(store, session_id)
    return (
        info.items,
        info.turns,
        info.queued,
        info.journal_entries,
        info.expires_in is None,
        turn,
        held,
    )


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__.strip("_"))
async def test_a_verb_whose_reply_is_lost_has_its_effect_once(
    ready: Store, proxy: FaultProxy, scenario: Scenario, client: str
) -> None:
    expected = await scenario(ready, ready, "clean")
    async with _lossy(CLIENTS[client](proxy.url)) as store:
        proxy.faults = lose_next(lambda command: command.name in COMMANDS)
        answer = await scenario(ready, store, "lossy")
    assert len(proxy.injected) == 1
    assert type(answer) is type(expected)
    if isinstance(answer, bool):
        assert answer == expected
    assert await _state(ready, "lossy") == await _state(ready, "clean")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.__name__.strip("_"))
async def test_a_verb_whose_reply_is_lost_in_a_pipeline_has_its_effect_once(
    ready: Store, proxy: FaultProxy, scenario: Scenario
) -> None:
    expected = await scenario(ready, ready, "clean")
    async with _lossy(standalone_client(proxy.url)) as store, _neighbours(store):
        proxy.faults = lose_next(lambda command: command.name in COMMANDS and not _theirs(command))
        answer = await scenario(ready, store, "lossy")
    assert len(proxy.injected) == 1
    assert type(answer) is type(expected)
    assert await _state(ready, "lossy") == await _state(ready, "clean")


@asynccontextmanager
async def _neighbours(store: Store) -> AsyncIterator[None]:
    """Others who call the store all the time, so that commands share their pipelines."""
    over = False

    async def ask(session_id: str) -> None:
        while not over:
            await store.info(session_id)

    asking = [asyncio.create_task(ask(f"neighbour {number}")) for number in range(6)]
    try:
        yield
    finally:
        over = True
        await asyncio.gather(*asking)


def _theirs(command: Command) -> bool:
    return any(b"neighbour" in arg for arg in command.args)


async def test_the_default_client_resends_an_append(ready: Store, proxy: FaultProxy) -> None:
    await added(ready, "s", 1)
    async with _lossy(Redis.from_url(proxy.url)) as store:
        proxy.faults = lose_next("EVALSHA")
        await added(store, "s", 2)
    assert proxy.total.counts["EVALSHA"] == 2
    assert await contents(ready, "s") == items(1, 2)


async def test_a_resent_delete_spares_a_session_created_since(
    ready: Store, proxy: FaultProxy
) -> None:
    await added(ready, "s", 1)
    await ready.delete("s")  # from now on the server knows the script
    await added(ready, "s", 1)
    again, sent = DelayRequest(), 0

    def faults(command: Command) -> Fault | None:
        nonlocal sent
        if command.name != "EVALSHA":
            return None
        sent += 1
        return {2: LoseReply(), 3: again}.get(sent)

    async with _lossy(standalone_client(proxy.url)) as store:
        proxy.faults = faults
        deleting = asyncio.create_task(store.delete("s"))
        await again.arrived.wait()
        await added(ready, "s", 2)
        again.release()
        assert await deleting
    assert await contents(ready, "s") == items(2)


@pytest.mark.parametrize("client", CLIENTS)
async def test_random_calls_while_every_tenth_reply_is_lost(
    valkey: ValkeyServer, proxy: FaultProxy, client: str
) -> None:
    await valkey.command("FLUSHALL")
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    proxy.faults = lose_replies(0.1, rng, {"EVALSHA", "EVAL", "LRANGE"})
    lab = RedisLab(lambda: CLIENTS[client](proxy.url))
    try:
        await Run(lab, rng).go(150)
    finally:
        await lab.aclose()
    assert proxy.injected
