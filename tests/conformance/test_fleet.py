"""What only the streams of a fleet on Redis can meet: deaths, lost groups, lost announcements."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from redis.asyncio import Redis

from tests.conformance.labs import PREFIX, RedisLab
from turnwise.limits import SWEEP_INTERVAL_MS, Limits
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.stores.redis import ready as ready_module
from turnwise.stores.redis.keys import Keys
from turnwise.testing.conformance.background import die_after, names, sent, work
from turnwise.testing.conformance.lab import (
    LONG,
    added,
    begun,
    contents,
    expect,
    items,
    mint,
    taken,
    try_begin,
)
from turnwise.testing.proxy import FaultProxy, lose_next
from turnwise.testing.servers import ValkeyServer
from turnwise.types import Absent, Done, Duplicate, Queued

KEYS = Keys(PREFIX)


@pytest.fixture
async def lab(valkey: ValkeyServer) -> AsyncIterator[RedisLab]:
    await valkey.command("FLUSHALL")
    lab = RedisLab(lambda: standalone_client(valkey.url))
    yield lab
    await lab.aclose()


@pytest.fixture
def store(lab: RedisLab) -> RedisStore:
    return lab.redis_store()


@pytest.fixture
def client(lab: RedisLab, store: RedisStore) -> Redis:
    assert isinstance(lab.client, Redis)
    return lab.client


async def _left(client: Redis) -> list[int]:
    """Entries, and entries that a worker has, of all streams."""
    left = [0, 0]
    for stream in KEYS.ready:
        left[0] += await client.xlen(stream)
        if await client.exists(stream):
            left[1] += (await client.xpending(stream, ready_module.GROUP))["pending"]
    return left


# Death between any two steps.


@pytest.mark.parametrize("steps", range(6))
async def test_what_a_dead_worker_left_is_done_and_nothing_stays(lab: RedisLab, steps: int) -> None:
    limits = Limits(visibility_timeout_ms=lab.lease)
    store, second = lab.redis_store(limits), lab.redis_store(limits)
    assert isinstance(lab.client, Redis)
    await sent(store, "s", "t")
    await die_after(steps, store, lab.lease)

    async def done() -> bool:
        for claim in await second.ready.claim("w2", 5, 0):
            await work(second, "w2", claim)
            if isinstance(await second.status("s", "t"), Duplicate):
                await second.ready.ack("w2", [claim])
            else:
                await second.ready.requeue("w2", [claim], 50)
        assert isinstance(lab.client, Redis)
        finished = isinstance(await second.status("s", "t"), Duplicate)
        return finished and await _left(lab.client) == [0, 0]

    await lab.until(done)
    assert await contents(second, "s") == items("t")


async def test_an_announcement_without_a_message_is_acked_in_one_round(
    store: RedisStore, client: Redis
) -> None:
    await store.ready.announce("s", "t")
    (claim,) = await store.ready.claim("w", 1, 0)
    assert (claim.session_id, claim.turn_id) == ("s", "t")
    assert await store.status("s", "t") == Absent()
    await store.ready.ack("w", [claim])
    assert await _left(client) == [0, 0]


async def test_claims_whose_reply_was_lost_come_back(valkey: ValkeyServer, lab: RedisLab) -> None:
    store = lab.redis_store(Limits(visibility_timeout_ms=lab.lease))
    await sent(store, "s", "t")
    async with FaultProxy.before(valkey.url) as proxy:
        proxy.faults = lose_next("EVALSHA")
        limits = Limits(visibility_timeout_ms=lab.lease)
        lossy = RedisStore(
            standalone_client(proxy.url), key_prefix=PREFIX, limits=limits, owned=True
        )
        found = await lossy.ready.claim("w", 1, 30)
        await lossy.aclose()
    assert names(found) == ["s"]
    assert len(proxy.injected) == 1


# What a failover or an operator can remove.


@pytest.mark.parametrize("loss", ["FLUSHALL", "DEL", "XGROUP"])
async def test_streams_and_groups_are_created_again(
    store: RedisStore, client: Redis, loss: str
) -> None:
    await sent(store, "s0", "t")
    old = await store.ready.claim("w", 1, 0)
    if loss == "FLUSHALL":
        await client.flushall()
    for stream in KEYS.ready:
        if loss == "DEL":
            await client.delete(stream)
        elif loss == "XGROUP" and await client.exists(stream):
            await client.xgroup_destroy(stream, ready_module.GROUP)
    await store.ready.extend("w")
    await store.ready.requeue("w", old, 0)
    for number in range(8):
        await sent(store, f"s{number}", "u")
    claimed = {claim.session_id for claim in await store.ready.claim("w", 50, 0)}
    assert claimed == {f"s{number}" for number in range(8)}


async def test_a_failover_starts_a_sweep(store: RedisStore, client: Redis) -> None:
    await store.submit("s", "t", b"one")
    await try_begin(store, "queued", ticket_ms=LONG)
    await added(store, "idle", 1)
    assert await store.ready.sweep() == 1
    assert 0 < await client.pttl(KEYS.swept) <= SWEEP_INTERVAL_MS
    assert await store.ready.sweep() == 0
    await client.set(KEYS.swept, "another server's id", px=SWEEP_INTERVAL_MS)
    for stream in KEYS.ready:
        await client.delete(stream)
    assert await store.ready.sweep() == 1
    (claim,) = await store.ready.claim("w", 5, 0)
    assert (claim.session_id, claim.turn_id) == ("s", None)


async def test_a_sweep_passes_over_other_people_s_lists(store: RedisStore, client: Redis) -> None:
    await client.rpush(PREFIX + "foreign", "one")
    await client.rpush(PREFIX + "newer", '{"format": 2}')
    await store.submit("s", "t", b"one")
    assert await store.ready.sweep(force=True) == 1


async def test_idle_workers_are_removed(
    store: RedisStore, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ready_module, "_IDLE_WORKER_MS", -1)
    await sent(store, "s", "t")
    claims = await store.ready.claim("busy", 1, 0)
    for number in range(len(KEYS.ready) * 4):
        await sent(store, f"s{number}", "t")
    await store.ready.ack("gone", await store.ready.claim("gone", 50, 0))
    await store.ready.sweep(force=True)
    consumers = {
        consumer["name"]
        for stream in KEYS.ready
        if await client.exists(stream) and await client.xinfo_groups(stream)
        for consumer in await client.xinfo_consumers(stream, ready_module.GROUP)
    }
    assert consumers == {b"busy"}
    await store.ready.ack("busy", claims)


# Dead letters: two keys, so two steps.


async def test_a_dead_letter_whose_turn_was_not_ended_is_queued(
    lab: RedisLab, store: RedisStore, client: Redis
) -> None:
    await store.submit("s", "t", b"one")
    turn = await taken(store, "s", lease=lab.lease)
    await store._dead_letters.write(*turn.ids, b"first")  # and then its worker died
    (letter,) = await store.dead_letters()
    assert (letter.content, letter.state) == (b"first", "queued")
    await lab.dead("s")
    second = await taken(store, "s")
    assert isinstance(await store.dead_letter(*second.ids, b"second"), Done)
    (letter,) = await store.dead_letters()
    assert (letter.content, letter.state) == (b"second", "dead")
    assert await client.xlen(KEYS.dead_letters) == 1


async def test_a_dead_letter_whose_turn_is_lost_is_removed(
    store: RedisStore, client: Redis
) -> None:
    await store.submit("s", "t", b"one")
    turn = await taken(store, "s")
    await turn.commit(*items(1))
    assert not isinstance(await store.dead_letter(*turn.ids, b"why"), Done)
    assert await client.xlen(KEYS.dead_letters) == 0


async def test_a_dead_letter_of_an_unreadable_session_is_listed(
    store: RedisStore, client: Redis
) -> None:
    await store.submit("s", "t", b"one")
    await store.dead_letter(*(await taken(store, "s")).ids, b"why")
    await client.delete(PREFIX + "s")
    await client.rpush(PREFIX + "s", "foreign")
    (letter,) = await store.dead_letters()
    assert letter.state == "unknown"


# Keys and connections.


async def test_every_key_is_a_session_or_listed_or_goes_away(
    store: RedisStore, client: Redis
) -> None:
    await sent(store, "s", "t")
    await store.events.append("s", "t", 1, 0, [b"one"])
    await store.ready.sweep(force=True)
    turn = await taken(store, "s")
    await store.dead_letter(*turn.ids, b"why")
    keys = {key.decode(): await client.pttl(key) async for key in client.scan_iter("*")}
    assert keys.pop(PREFIX + "s") == -1
    expiring = {KEYS.swept, KEYS.events("s", "t")}
    for key in expiring:
        assert keys.pop(key) > 0
    assert set(keys) <= set(KEYS.fleet)
    assert all(key.startswith("{" + PREFIX) for key in keys)


async def test_one_connection_hears_everything(valkey: ValkeyServer, store: RedisStore) -> None:
    turn, token = await begun(store, "s", worker=store.worker), mint()
    reading = asyncio.create_task(store.events.read("s", "t", None, 60))
    claiming = asyncio.create_task(store.ready.claim("w", 1, 60))
    woken = asyncio.Event()
    with store.on_wakeup(turn.token, woken.set):
        async with store.waiter(token):
            assert isinstance(await try_begin(store, "s", token=token, ticket_ms=LONG), Queued)
            await sent(store, "m", "t")
            await store.events.append("s", "t", 1, 0, [b"one"])
            assert names(await claiming) == ["m"]
            assert len((await reading).events) == 1
        await store.cancel("s")
        await asyncio.wait_for(woken.wait(), 30)
        clients = await valkey.command("CLIENT", "LIST", "TYPE", "PUBSUB")
        assert str(clients).count(" sub=") == 1
    await store.aclose()
    assert await valkey.command("PUBSUB", "CHANNELS", "*") == []


async def test_to_listen_costs_a_turn_no_command(valkey: ValkeyServer, store: RedisStore) -> None:
    async def turn() -> None:
        token = mint()
        with store.on_wakeup(token, lambda: None):
            granted = await begun(store, "s", token=token, worker=store.worker)
            await granted.commit(*items(1))

    async with store.waiter(mint()):  # subscribed from here on
        await turn()
        await valkey.command("CONFIG", "RESETSTAT")
        for _ in range(20):
            await turn()
    stats = str(await valkey.command("INFO", "commandstats"))
    calls = dict(
        line.split(":calls=", 1) for line in stats.splitlines() if line.startswith("cmdstat_")
    )
    assert calls["cmdstat_evalsha"].split(",")[0] == "40"
    assert not {"cmdstat_subscribe", "cmdstat_unsubscribe", "cmdstat_publish"} & set(calls)


async def test_without_channel_permissions_workers_poll(
    valkey: ValkeyServer, lab: RedisLab, store: RedisStore
) -> None:
    await valkey.command("ACL", "SETUSER", "deaf", "on", ">p", "~*", "resetchannels", "+@all")
    try:
        deaf = RedisStore(
            standalone_client(valkey.url_for("deaf", "p")), key_prefix=PREFIX, owned=True
        )
        claiming = asyncio.create_task(deaf.ready.claim("w", 1, 60))
        reading = asyncio.create_task(deaf.events.read("s", "t", None, 60))
        await sent(deaf, "s", "t")
        await deaf.events.append("s", "t", 1, 0, [b"one"])
        assert names(await claiming) == ["s"]
        assert len((await reading).events) == 1
        await deaf.aclose()
    finally:
        await valkey.command("ACL", "DELUSER", "deaf")


async def test_announce_answers_the_store_s_time(lab: RedisLab, store: RedisStore) -> None:
    before = await lab.now()
    announced_at = await store.ready.announce("s", "t")
    assert before <= announced_at <= await lab.now()
    assert expect(int, announced_at)


async def test_a_worker_that_waits_looks_at_each_stream_once_a_second(
    valkey: ValkeyServer, lab: RedisLab, store: RedisStore
) -> None:
    """Announcements are published; it looks for those that were missed, and for what timed out."""
    while not store.ready._schedule._subscribed:
        await store.ready.claim("w", 1, 0.1)
    await valkey.command("CONFIG", "RESETSTAT")
    began, ended = time.monotonic(), await lab.now() + 2_000
    while await lab.now() < ended:
        assert await store.ready.claim("w", 1, 0.2) == []
    looks = 1 + int(time.monotonic() - began + 1)
    stats = str(await valkey.command("INFO", "commandstats"))
    calls = int(stats.split("cmdstat_evalsha:calls=")[1].split(",", maxsplit=1)[0])
    assert calls <= looks * len(KEYS.ready)
