"""What only a store on Redis can meet: other people's keys, expiries, versions, a lost script."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.conformance.labs import PREFIX, RedisLab
from turnwise.contracts import Store
from turnwise.errors import NewerFormat, NotASession, StoreRefused, StoreUnavailable, UsageError
from turnwise.limits import WORKER_KEPT_MS
from turnwise.stores.redis import RedisStore, standalone_client
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
from turnwise.testing.servers import ValkeyServer
from turnwise.types import Absent, Busy, Done, Gone, Queued, Stale

KEY = PREFIX + "s"


@pytest.fixture
async def lab(valkey: ValkeyServer) -> AsyncIterator[RedisLab]:
    await valkey.command("FLUSHALL")
    # Some of these tests write keys that are no sessions.
    lab = RedisLab(lambda: standalone_client(valkey.url), may_look=False)
    yield lab
    await lab.aclose()


async def _dump(client: Redis) -> bytes:
    dump = await client.dump(KEY)
    assert isinstance(dump, bytes)
    return dump


@pytest.fixture
def store(lab: RedisLab) -> Store:
    return lab.store()


@pytest.fixture
def client(lab: RedisLab, store: Store) -> Redis:
    assert isinstance(lab.client, Redis)
    return lab.client


async def test_a_session_is_one_key_without_an_expiry(store: Store, client: Redis) -> None:
    await added(store, "s", 1)
    turn = await begun(store, "s")
    await try_begin(store, "s", ticket_ms=LONG)
    await store.submit("s", "m", b"one")
    await store.journal(*turn.ids, 0, items("done"))
    assert [key async for key in client.scan_iter("*")] == [KEY.encode()]
    assert await client.ttl(KEY) == -1


# Somebody else's keys.


async def _everything(store: Store) -> AsyncIterator[Any]:
    from turnwise.types import Base  # what an outdated caller may still hold

    ids, base = ("s", "t", "k"), Base(2, "c")
    yield store.read("s")
    yield store.read("s", base)
    yield try_begin(store, "s")
    yield store.next("s", mint(), 1000, worker="w")
    yield store.journal(*ids, 0, [b"{}"])
    yield store.renew(*ids)
    yield store.commit(*ids, base, "d", [b"{}"])
    yield store.park(*ids, b"{}")
    yield store.stop(*ids, b"{}")
    yield store.abort(*ids)
    yield store.release(*ids)
    yield store.dead_letter(*ids, b"why")
    yield store.status("s", "t")
    yield store.append("s", mint(), [b"{}"])
    yield store.pop("s", mint(), base)
    yield store.clear("s", mint())
    yield store.replace("s", mint(), base, 0, [])
    yield store.submit("s", mint(), b"one")
    yield store.cancel("s", "t")
    yield store.delete("s")
    yield store.expire("s", 1000)
    yield store.info("s")
    yield store.queue("s", 1)


FOREIGN: list[tuple[str, ...]] = [
    ("SET", KEY, "value"),
    ("HSET", KEY, "field", "value"),
    ("RPUSH", KEY, "one", "two"),
    ("RPUSH", KEY, '{"role": "user"}'),
    ("RPUSH", KEY, '{"format": "1", "incarnation": "x"}'),
    ("RPUSH", KEY, '{"format": 1}'),
    ("RPUSH", KEY, "[]"),
    ("RPUSH", KEY, ""),
]


@pytest.mark.parametrize("command", FOREIGN, ids=lambda c: " ".join(c[:1] + c[2:]))
async def test_another_application_s_key_is_left_as_it_is(
    store: Store, client: Redis, command: tuple[str, ...]
) -> None:
    # redis-py leaves this method untyped
    await client.execute_command(*command)  # type: ignore[no-untyped-call]
    before = await _dump(client)
    async for call in _everything(store):
        with pytest.raises(NotASession, match="session 's': the key 'test:sessions:s'"):
            await call
    assert await _dump(client) == before
    assert await client.ttl(KEY) == -1


async def test_a_newer_version_s_session_is_left_as_it_is(store: Store, client: Redis) -> None:
    await client.rpush(KEY, '{"format": 2, "incarnation": []}', "?")
    before = await _dump(client)
    async for call in _everything(store):
        with pytest.raises(NewerFormat, match="format 2"):
            await call
    assert await _dump(client) == before


# Expiries that somebody set by hand.


async def test_a_user_s_expire_wins(store: Store, client: Redis) -> None:
    await added(store, "s", 1)
    await client.expire(KEY, 1000)
    turn = await begun(store, "s")
    await store.renew(*turn.ids)
    await turn.commit(*items(2))
    await store.clear("s", mint())
    assert 900 < await client.ttl(KEY) <= 1000


async def test_a_user_s_expire_before_the_first_commit_wins(store: Store, client: Redis) -> None:
    turn = await begun(store, "s")
    await client.expire(KEY, 1000)
    await store.renew(*turn.ids)
    await turn.commit(*items(1))
    assert 900 < await client.ttl(KEY) <= 1000


async def test_a_user_s_persist_before_the_first_commit_wins(store: Store, client: Redis) -> None:
    turn = await begun(store, "s")
    await client.persist(KEY)
    await store.renew(*turn.ids)
    assert await client.ttl(KEY) == -1


async def test_a_session_that_was_moved_by_hand_is_kept_by_its_first_commit(
    store: Store, client: Redis
) -> None:
    turn = await begun(store, "s")
    dump, left = await _dump(client), await client.pttl(KEY)
    await client.restore(KEY, left + 30, dump, replace=True)  # as MIGRATE does
    await turn.commit(*items(1))
    assert await client.ttl(KEY) == -1


async def test_an_evicted_session_is_gone(store: Store, client: Redis) -> None:
    turn = await begun(store, "s")
    await client.delete(KEY)
    assert await store.renew(*turn.ids) == Gone()
    assert await turn.commit(*items(1)) == Gone()
    assert await client.exists(KEY) == 0


# The server's clock.


async def _set_turn(client: Redis, **changes: Any) -> None:
    raw = await client.lindex(KEY, 0)
    assert raw is not None
    header = json.loads(raw)
    header["turn"] |= changes
    await client.lset(KEY, 0, json.dumps(header))


async def test_a_clock_that_was_set_back_stretches_no_lease(
    lab: RedisLab, store: Store, client: Redis
) -> None:
    await added(store, "s", 1)
    await begun(store, "s", lease=lab.lease)
    await _set_turn(client, deadline=await lab.now() + 3_600_000)
    busy = expect(Busy, await try_begin(store, "s"))
    assert busy.remaining_ms <= lab.lease
    await lab.dead("s")
    await begun(store, "s")


async def test_a_clock_that_was_set_back_does_not_keep_a_message_from_other_workers(
    lab: RedisLab, store: Store, client: Redis
) -> None:
    await added(store, "s", 1)
    await store.submit("s", "t", b"one")
    await taken(store, "s", lease=lab.lease)
    await _set_turn(client, deadline=await lab.now() + 3_600_000)
    busy = expect(Busy, await store.next("s", mint(), lab.lease, worker="other"))
    assert busy.remaining_ms <= lab.lease
    await lab.dead("s")
    await taken(store, "s")


# Failover: writes are lost, scripts too.


async def test_a_script_that_the_server_forgot_is_sent_again(store: Store, client: Redis) -> None:
    await added(store, "s", 1)
    await client.script_flush()
    await added(store, "s", 2)
    assert await contents(store, "s") == items(1, 2)


async def test_after_lost_writes_the_turn_is_refused_and_the_loss_is_seen(
    store: Store, client: Redis
) -> None:
    await added(store, "s", 1)
    before = await _dump(client)
    lost = await added(store, "s", 2)
    turn = await begun(store, "s")
    await client.restore(KEY, 0, before, replace=True)
    assert isinstance(await turn.commit(*items(3)), Stale)
    other = await added(store, "s", "other")
    assert other.position == lost.position
    history = await store.read("s", lost)
    assert not isinstance(history, Absent)
    assert not history.follows
    again = await begun(store, "s", turn.grant.turn_id, token=turn.token)
    assert again.grant.tip == other
    assert expect(Stale, await turn.commit(*items(3))).history_changed
    assert isinstance(await again.commit(*items(3)), Done)


# A history that moves while it is read in pages.


async def test_a_long_read_is_one_history(
    store: Store, client: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    for first in range(0, 5000, 1000):
        await added(store, "s", *range(first, first + 1000))
    turn, token = await begun(store, "s"), mint()
    await try_begin(store, "s", "waits", token=token, ticket_ms=LONG)
    execute: Any = client.execute_command
    reads = 0

    async def disturbed(*command: Any, **options: Any) -> Any:
        nonlocal reads
        answer = await execute(*command, **options)
        if command[0] == "LRANGE":
            reads += 1
            if reads == 2:
                await store.abort("s", "waits", token)
            if reads == 4:
                await store.submit("s", mint(), b"one")
            if reads == 6:
                await store.abort(*turn.ids)
                await store.clear("s", mint())
                await added(store, "s", *range(6000))
        return answer

    monkeypatch.setattr(client, "execute_command", disturbed)
    assert await contents(store, "s") == items(*range(6000))
    assert reads > 8


# Refusals.


async def test_without_memory_nothing_begins_but_a_turn_can_end(
    store: Store, client: Redis
) -> None:
    await added(store, "s", 1)
    turn = await begun(store, "s")
    await client.config_set("maxmemory", 1)
    try:
        with pytest.raises(StoreRefused, match="raise maxmemory"):
            await try_begin(store, "other")
        with pytest.raises(StoreRefused, match="raise maxmemory"):
            await store.append("other", mint(), items(1))
        await store.renew(*turn.ids)
        assert isinstance(await turn.commit(*items(2)), Done)
        assert await contents(store, "s") == items(1, 2)
    finally:
        await client.config_set("maxmemory", 0)


async def test_the_error_for_a_lost_server_does_not_show_the_password() -> None:
    async with ValkeyServer(password="secret") as server:
        client = standalone_client(server.url)
        store = RedisStore(client, owned=True, patience=0.1)
        await added(store, "s", 1)
    with pytest.raises(StoreUnavailable, match="session 's'") as caught:
        await added(store, "s", 2)
    assert "secret" not in str(caught.value)
    await store.aclose()


async def test_the_error_for_a_wrong_password_says_so(valkey: ValkeyServer) -> None:
    async with ValkeyServer(password="secret") as server:
        client = Redis.from_url(server.url.replace("secret", "wrong"))
        store = RedisStore(client, patience=5)
        with pytest.raises(StoreRefused, match="check the user name and password"):
            await added(store, "s", 1)
        await client.aclose()


# Listings.


async def test_a_cursor_of_something_else_is_refused(store: Store) -> None:
    for cursor in ("x", "-1", "10.0.0.1:6379/0", "0/", "²"):
        with pytest.raises(UsageError, match="begin again without a cursor"):
            await store.page("*", cursor)


async def test_what_cannot_be_read_is_listed_as_such(store: Store, client: Redis) -> None:
    await added(store, "s", 1)
    await client.rpush(PREFIX + "newer", '{"format": 2, "incarnation": []}')
    await client.rpush(PREFIX + "other", '{"role": "user"}')
    await client.hset(PREFIX + "hash", "field", "value")
    found = {one.session_id: one for one in (await store.page()).sessions}
    assert {name: one.state for name, one in found.items()} == {
        "s": "idle",
        "newer": "newer",
        "other": "unreadable",
    }
    assert "format 2" in str(found["newer"].error)
    assert "another application's data" in str(found["other"].error)


# The worker registry.


async def test_a_worker_that_wrote_nothing_for_a_day_is_removed(
    lab: RedisLab, store: Store, client: Redis
) -> None:
    """It is not listed, and the other workers' heartbeats remove it."""
    key = "{" + PREFIX + "workers}"
    day_ago = await lab.now() - WORKER_KEPT_MS
    for number in range(20):
        await client.hset(key, f"old-{number}", f"{day_ago - 1} x")
    await client.hset(key, "yesterday", f"{day_ago + 60_000} x")
    await store.workers.write("new", b"")
    assert [entry.name for entry in await store.workers.list()] == ["new", "yesterday"]
    while await client.hlen(key) > 2:
        await store.workers.write("new", b"")
    assert await client.hkeys(key) in ([b"yesterday", b"new"], [b"new", b"yesterday"])
    assert 0 < await client.pttl(key) <= WORKER_KEPT_MS


# Wake-ups.


async def test_a_process_has_one_subscription_and_leaves_none(
    valkey: ValkeyServer, store: Store
) -> None:
    turn, tokens = await begun(store, "s"), [mint() for _ in range(3)]
    async with store.waiter(tokens[0]), store.waiter(tokens[1]), store.waiter(tokens[2]):
        for token in tokens:
            queued = await try_begin(store, "s", token=token, ticket_ms=LONG, worker="worker-0")
            assert isinstance(queued, Queued)
        channels = await valkey.command("PUBSUB", "CHANNELS", "*")
        assert channels == ["{" + PREFIX + "wake}:worker-0"]
        assert (await valkey.command("PUBSUB", "NUMSUB", *channels))[1] == 1
        await turn.commit(*items(1))
    await store.aclose()
    assert await valkey.command("PUBSUB", "CHANNELS", "*") == []
