"""The index of an owner's sessions on Redis: written before them, and put right when it is read."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.client import Pipeline
from redis.exceptions import ConnectionError as Disconnected

from tests.conformance.labs import PREFIX, RedisLab
from turnwise import RedisSession
from turnwise.errors import StoreUnavailable, UsageError
from turnwise.stores.redis import RedisStore, standalone_client
from turnwise.stores.redis.keys import Keys
from turnwise.stores.redis.owned import OwnedSessions
from turnwise.testing.conformance.lab import NONSENSE, added, contents, ids, items, mint
from turnwise.testing.conformance.owners import CREATING, VERBS
from turnwise.testing.servers import ValkeyServer
from turnwise.types import Base, Taken

INDEX = Keys(PREFIX).owned("alice")
LONG_AGO = "1000000000000 "


@pytest.fixture
async def lab(valkey: ValkeyServer) -> AsyncIterator[RedisLab]:
    await valkey.command("FLUSHALL")
    lab = RedisLab(lambda: standalone_client(valkey.url))
    yield lab
    await lab.aclose()


@pytest.fixture
def alice(lab: RedisLab) -> RedisStore:
    return lab.redis_store().for_owner("alice")


@pytest.fixture
def client(lab: RedisLab, alice: RedisStore) -> Redis:
    assert isinstance(lab.client, Redis)
    return lab.client


async def test_a_page_looks_at_no_other_owner_s_sessions(
    lab: RedisLab, alice: RedisStore, valkey: ValkeyServer
) -> None:
    bob = lab.redis_store().for_owner("bob")
    for number in range(200):
        await added(bob, f"b{number}", 1)
    for number in range(3):
        await added(alice, f"a{number}", 1)
    await valkey.command("CONFIG", "RESETSTAT")
    page = await alice.page(count=10)
    assert sorted(row.session_id for row in page.sessions) == ["a0", "a1", "a2"]
    assert page.cursor is None
    stats = str(await valkey.command("INFO", "commandstats"))
    assert "cmdstat_lindex:calls=3," in stats
    assert "cmdstat_scan:" not in stats


async def test_many_sessions_come_in_parts(alice: RedisStore) -> None:
    names = sorted(f"s{number:04}" for number in range(1500))
    for name in names:
        await alice._owned.note("alice", name)
    await added(alice, names[7], 1)
    page, parts, found = await alice.page(count=100), 1, set[str]()
    found |= {row.session_id for row in page.sessions}
    while page.cursor is not None:
        page, parts = await alice.page(cursor=page.cursor, count=100), parts + 1
        found |= {row.session_id for row in page.sessions}
    assert parts > 3
    assert found == {names[7]}


@pytest.mark.parametrize("verb", sorted(CREATING))
async def test_a_session_is_noted_before_it_is_created(
    client: Redis, alice: RedisStore, verb: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the two leaves a note without a session, not the contrary."""
    run = alice._transport.run

    async def dies(script: object, key: str, *args: object) -> object:
        if key == alice.keys.session("s"):
            raise StoreUnavailable("the process is dead")
        return await run(script, key, *args)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(alice._transport, "run", dies)
        with pytest.raises(StoreUnavailable):
            await VERBS[verb](alice, "s", Base(0, ""))
    assert await client.hkeys(INDEX) == [b"s"]
    assert await ids(alice) == []
    await VERBS[verb](alice, "s", Base(0, ""))
    assert await ids(alice) == ["s"]


async def test_a_session_is_noted_once_by_a_process(
    alice: RedisStore, valkey: ValkeyServer
) -> None:
    await added(alice, "s", 1)
    await valkey.command("CONFIG", "RESETSTAT")
    for number in range(5):
        await added(alice, "s", number)
    stats = str(await valkey.command("INFO", "commandstats"))
    assert "cmdstat_evalsha:calls=5," in stats


async def test_the_note_of_a_session_that_is_gone_goes_after_an_hour(
    client: Redis, alice: RedisStore
) -> None:
    await added(alice, "stays", 1)
    for name in ("young", "old"):
        await added(alice, name, 1)
        await alice.delete(name)
    assert await ids(alice) == ["stays"]
    assert sorted(await client.hkeys(INDEX)) == [b"old", b"stays", b"young"]
    await client.hset(INDEX, "old", LONG_AGO)
    await client.hset(INDEX, "stays", LONG_AGO)
    assert await ids(alice) == ["stays"]
    assert sorted(await client.hkeys(INDEX)) == [b"stays", b"young"]


async def test_the_note_of_what_cannot_be_read_stays(client: Redis, alice: RedisStore) -> None:
    """It is there, and may be readable for another version, or again."""
    await added(alice, "s", 1)
    key = Keys(PREFIX).session("s")
    raw: Any = client  # redis-py's types know no bytes here
    header = await raw.lindex(key, 0)
    for unreadable in (b'{"format": 99}', b"{"):
        await raw.lset(key, 0, unreadable)
        await client.hset(INDEX, "s", LONG_AGO)
        assert await ids(alice) == []
    await raw.lset(key, 0, header)
    assert await ids(alice) == ["s"]


async def test_an_outage_is_no_short_list(
    client: Redis, alice: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a cluster the node of one session may be down, and the others answer."""
    await added(alice, "s", 1)
    await client.hset(INDEX, "s", LONG_AGO)

    async def down(self: object, **options: object) -> list[object]:
        return [Disconnected("down")]

    with monkeypatch.context() as patch:
        patch.setattr(Pipeline, "execute", down)
        patch.setattr(alice._transport, "patience", 0.1)
        with pytest.raises(StoreUnavailable):
            await alice.page()
    assert await ids(alice) == ["s"]


async def test_operators_find_a_session_that_its_owner_s_list_lacks(
    client: Redis, alice: RedisStore, lab: RedisLab
) -> None:
    await added(alice, "s", 1)
    await client.delete(INDEX)
    async with RedisSession(lab.client, key_prefix=PREFIX) as session:
        found = await session.sessions(owner="alice")
        assert [row.session_id for row in found.sessions] == ["s"]
        assert (await session.sessions(owner="bob")).sessions == []


async def test_a_session_that_is_created_again_meanwhile_keeps_its_note(
    client: Redis, alice: RedisStore, lab: RedisLab
) -> None:
    """Between the look that found nothing and the removal of the note."""
    await added(alice, "s", 1)
    await alice.delete("s")
    await client.hset(INDEX, "s", LONG_AGO)
    page = await alice._owned.page("alice", None, 10)
    await added(lab.redis_store().for_owner("alice"), "s", 2)
    await alice._owned.forget("alice", page, ["s"])
    assert await ids(alice) == ["s"]
    await client.hset(INDEX, "s", LONG_AGO)
    assert await ids(alice) == ["s"]


async def test_another_owner_s_session_is_noted_and_not_listed(
    client: Redis, alice: RedisStore, lab: RedisLab
) -> None:
    bob = lab.redis_store().for_owner("bob")
    await added(alice, "s", 1)
    assert await bob.append("s", mint(), items(2)) == Taken()
    assert await ids(bob) == []
    await client.hset(Keys(PREFIX).owned("bob"), "s", LONG_AGO)
    assert await ids(bob) == []
    assert await client.hlen(Keys(PREFIX).owned("bob")) == 0
    assert await ids(alice) == ["s"]


async def test_a_session_is_used_although_it_cannot_be_noted(
    client: Redis, alice: RedisStore
) -> None:
    """On a Cluster the index may lie on a node that is down. It is noted with a later use."""
    await client.set(INDEX, "something else")
    await added(alice, "s", 1)
    await added(alice, "s", 2)
    assert await contents(alice, "s") == items(1, 2)
    await client.delete(INDEX)
    assert await ids(alice) == []
    await added(alice, "s", 3)  # the note is tried again after a minute
    assert await ids(alice) == []
    alice._owned._due.clear()
    await added(alice, "s", 4)
    assert await ids(alice) == ["s"]


async def test_a_cursor_of_the_store_is_none_of_an_owner(alice: RedisStore) -> None:
    for nonsense in (*NONSENSE, "/12", "0/12"):
        with pytest.raises(UsageError, match="begin again without one"):
            await alice.page(cursor=nonsense)


async def test_a_process_remembers_so_many_notes(
    alice: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnwise.stores.redis.owned._REMEMBERED", 10)
    owned: OwnedSessions = alice._owned
    for number in range(30):
        await owned.note("alice", str(number))
    assert [name for _, name in owned._due] == [str(number) for number in range(20, 30)]
