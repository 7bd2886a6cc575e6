"""The store holds unexpected data: the error names it, and it stays unchanged."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import cast

import msgspec
import pytest
import pytest_asyncio
from agents import Agent
from agents.testing import ScriptedModel, assistant_message

from tests.integration.fault_lab import (
    QUIET,
    AnySession,
    assert_free,
    connections_in_use,
    message,
    other_tasks,
    raw,
    session_on,
)
from tests.integration.stored_elements import InFile, InRedis, Store
from turnwise import RedisSession, Runner, SQLiteSession
from turnwise.errors import (
    AlreadyCommitted,
    NewerFormat,
    NotASession,
    TurnwiseError,
    UndecodableItem,
)
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def redis_session(server: ValkeyServer, tmp_path: Path) -> AsyncIterator[RedisSession]:
    async with session_on("valkey", tmp_path, server) as session:
        assert isinstance(session, RedisSession)
        yield session


async def add_in_turn(session: AnySession, session_id: str) -> None:
    async with session.turn(session_id) as turn:
        await turn.add_items([message("in a turn")])


async def run(session: AnySession, session_id: str) -> None:
    agent = Agent(name="Echo", model=ScriptedModel([[assistant_message("Hello.")]]))
    await Runner.run(agent, "Hi", session=session, session_id=session_id, run_config=QUIET)


async def stream(session: AnySession, session_id: str) -> None:
    agent = Agent(name="Echo", model=ScriptedModel([[assistant_message("Hello.")]]))
    result = Runner.run_streamed(
        agent, "Hi", session=session, session_id=session_id, run_config=QUIET
    )
    async for _ in result.stream_events():
        pass


Operation = Callable[[AnySession, str], Awaitable[object]]
OPERATIONS: dict[str, Operation] = {
    "get_items": lambda session, name: session.bind(name).get_items(),
    "get_last": lambda session, name: session.bind(name).get_items(1),
    "add_items": lambda session, name: session.bind(name).add_items([message("added")]),
    "pop_item": lambda session, name: session.bind(name).pop_item(),
    "clear_session": lambda session, name: session.bind(name).clear_session(),
    "turn": add_in_turn,
    "run": run,
    "stream": stream,
    "info": lambda session, name: session.info(name),
    "delete": lambda session, name: session.delete(name),
    "expire": lambda session, name: session.expire(name, 60),
}
every_operation = pytest.mark.parametrize("operation", OPERATIONS)

FOREIGN: dict[str, list[str]] = {
    "text": ["SET", "KEY", "somebody's"],
    "hash": ["HSET", "KEY", "field", "value"],
    "set": ["SADD", "KEY", "member"],
    "sorted set": ["ZADD", "KEY", "1", "member"],
    "stream": ["XADD", "KEY", "*", "field", "value"],
    "queue of jobs": ["RPUSH", "KEY", "job-1", "job-2"],
    "empty texts": ["RPUSH", "KEY", "", ""],
    "items as the SDK keeps them": ["RPUSH", "KEY", '{"role":"user","content":"Hi"}', "{}"],
    "with a version of its own": ["RPUSH", "KEY", '{"format":1,"data":[]}'],
    "with a version in words": ["RPUSH", "KEY", '{"format":"2.0"}'],
    "numbers": ["RPUSH", "KEY", "1", "2"],
    "an array": ["RPUSH", "KEY", "[]"],
}


@every_operation
async def test_the_data_of_another_application(
    server: ValkeyServer, redis_session: RedisSession, operation: str
) -> None:
    async with raw(server) as client:
        for kind, command in FOREIGN.items():
            key = redis_session.key(kind)
            words = [key if word == "KEY" else word for word in command]
            # redis-py has no types for this method.
            await client.execute_command(*words)  # type: ignore[no-untyped-call]
            before = await client.dump(key), await client.pttl(key)
            with pytest.raises(NotASession, match="another application's data") as caught:
                await OPERATIONS[operation](redis_session, kind)
            assert caught.value.session_id == kind
            assert key in str(caught.value)
            assert (await client.dump(key), await client.pttl(key)) == before
    assert not other_tasks()
    assert connections_in_use(redis_session) == 0


@every_operation
@pytest.mark.parametrize("shape", ["ours", "another"])
async def test_a_header_from_a_newer_version(
    server: ValkeyServer, redis_session: RedisSession, operation: str, shape: str
) -> None:
    await redis_session.bind("user-1").add_items([message("one")])
    key = redis_session.key("user-1")
    async with raw(server) as client:
        header = msgspec.json.decode(cast(bytes, await client.lindex(key, 0)))
        newer = {**header, "format": 2} if shape == "ours" else {"format": 99, "shape": [1]}
        await client.lset(key, 0, msgspec.json.encode(newer).decode())
        before = await client.dump(key)
        with pytest.raises(NewerFormat, match=r"Upgrade this worker") as caught:
            await OPERATIONS[operation](redis_session, "user-1")
        assert caught.value.session_id == "user-1"
        assert f"format {newer['format']}" in str(caught.value)
        assert await client.dump(key) == before


@every_operation
async def test_a_newer_session_in_a_file(tmp_path: Path, operation: str) -> None:
    path = tmp_path / "sessions.db"
    async with SQLiteSession(path) as session:
        await session.bind("user-1").add_items([message("one")])
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            (packed,) = database.execute("SELECT header FROM sessions").fetchone()
            newer = msgspec.json.encode({**msgspec.json.decode(packed), "format": 2})
            database.execute("UPDATE sessions SET header = ?", [newer])
            with pytest.raises(NewerFormat) as caught:
                await OPERATIONS[operation](session, "user-1")
            assert caught.value.session_id == "user-1"
            assert database.execute("SELECT header FROM sessions").fetchall() == [(newer,)]


async def test_a_neighbour_s_sessions(server: ValkeyServer, redis_session: RedisSession) -> None:
    """Two applications with prefixes of their own do not see each other."""
    mine, theirs = f"{redis_session.key('x')}:mine:", f"{redis_session.key('x')}:theirs:"
    async with (
        RedisSession.from_url(server.url, key_prefix=mine) as one,
        RedisSession.from_url(server.url, key_prefix=theirs) as other,
    ):
        await one.bind("user-1").add_items([message("one")])
        await other.bind("user-1").add_items([message("other")])
        await other.bind("user-2").add_items([message("other")])
        assert [found async for found in one.scan()] == ["user-1"]
        assert await one.delete("user-1")
        assert not await one.delete("user-2")
        assert await other.bind("user-1").get_items() == [message("other")]


async def test_only_sessions_are_listed(
    server: ValkeyServer, redis_session: RedisSession, caplog: pytest.LogCaptureFixture
) -> None:
    """Other data under the prefix is not, and whoever lists the sessions is told of it."""
    await redis_session.bind("user-1").add_items([message("one")])
    await redis_session.bind("user-2").add_items([message("one")])
    key = redis_session.key("user-2")
    async with raw(server) as client:
        header = msgspec.json.decode(cast(bytes, await client.lindex(key, 0)))
        await client.lset(key, 0, msgspec.json.encode({**header, "format": 2}).decode())
        await client.rpush(redis_session.key("user-3:messages"), '{"role": "user"}', "{}")
        await client.rpush(redis_session.key("jobs"), b"\x00")
        await client.hset(redis_session.key("user-3"), "session_id", "user-3")
    caplog.clear()
    assert sorted([found async for found in redis_session.scan()]) == ["user-1", "user-2"]
    (warning,) = [record.getMessage() for record in caplog.records]
    assert "2 keys" in warning
    assert "Coming from the SDK's sessions" in warning
    caplog.clear()
    assert [found async for found in redis_session.scan("user-1")] == ["user-1"]
    assert not caplog.records


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "an unknown first byte": lambda item: b"\xff" + item[1:],
    "the first byte of a marker": lambda item: b"\x02" + item[1:],
    "a zero": lambda item: b"\x00" + item[1:],
    "nothing left": lambda item: b"",
    "cut off": lambda item: item[:-3],
    "one bit": lambda item: item[:-6] + bytes([item[-6] ^ 4]) + item[-5:],
    "JSON that never ends": lambda item: b'{"role":"user"',
    "JSON that is no object": lambda item: b"{]",
}
ITEMS = [message(f"{number} is quite a long message, well worth it" * 3) for number in range(4)]


@pytest.fixture(params=DAMAGES)
def damage(request: pytest.FixtureRequest) -> Callable[[bytes], bytes]:
    return DAMAGES[request.param]


@pytest.fixture(params=["sqlite", "valkey"])
def kind(request: pytest.FixtureRequest) -> str:
    named: str = request.param
    return named


async def with_damage(
    kind: str, folder: Path, server: ValkeyServer, damage: Callable[[bytes], bytes]
) -> tuple[Store, int, bytes]:
    """A session of three turns whose second turn has a damaged item: the store, where, what."""
    async with session_on(kind, folder, server) as writer:
        for items in (ITEMS[:1], ITEMS[1:3], ITEMS[3:]):
            await writer.bind("user-1").add_items(items)
        store: Store = InFile(folder / "sessions.db")
        if isinstance(writer, RedisSession):
            store = InRedis(server, writer.key("user-1"))
    position = 4  # item, marker, record, item, *item*, marker, record, item, marker, record
    intact = (await store.elements())[position]
    await store.put(position, damage(intact))
    return store, position, intact


async def test_an_item_that_cannot_be_decoded(
    server: ValkeyServer, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    store, position, intact = await with_damage(kind, tmp_path, server, damage)
    before = await store.elements()
    for operation in ("get_items", "turn_and_read", "run", "stream"):
        async with session_on(kind, tmp_path, server) as session:
            with pytest.raises(UndecodableItem) as caught:
                await {**OPERATIONS, "turn_and_read": read_in_turn}[operation](session, "user-1")
            assert (caught.value.session_id, caught.value.position) == ("user-1", position)
            assert f"position {position}" in str(caught.value)
            assert "quite a long message" not in str(caught.value)
            await assert_not_held(session)
    assert await store.elements() == before

    async with session_on(kind, tmp_path, server) as session:
        await store.put(position, intact)
        assert await session.bind("user-1").get_items() == ITEMS
        await assert_free(session, "user-1")


async def read_in_turn(session: AnySession, session_id: str) -> None:
    async with session.turn(session_id) as turn:
        await turn.get_items()


async def test_a_reader_with_cached_turns_gets_the_error_too(
    server: ValkeyServer, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    """The cache knows the first turn only, and all of it is whole."""
    async with session_on(kind, tmp_path, server) as session:
        await session.bind("user-1").add_items(ITEMS[:1])
        assert await session.bind("user-1").get_items() == ITEMS[:1]
        async with session_on(kind, tmp_path, server) as writer:
            await writer.bind("user-1").add_items(ITEMS[1:3])
        store: Store = InFile(tmp_path / "sessions.db")
        if isinstance(session, RedisSession):
            store = InRedis(server, session.key("user-1"))
        await store.put(4, damage((await store.elements())[4]))
        for _ in range(2):
            with pytest.raises(UndecodableItem) as caught:
                await session.bind("user-1").get_items()
            assert caught.value.position == 4


async def test_it_is_never_popped(
    server: ValkeyServer, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    store, position, _ = await with_damage(kind, tmp_path, server, damage)
    async with session_on(kind, tmp_path, server) as session:
        popped = []
        with pytest.raises(UndecodableItem) as caught:
            while True:
                popped.append(await session.bind("user-1").pop_item())
        assert caught.value.position == position
        assert popped in ([], ITEMS[3:])
        async with session.turn("other"):
            pass
        assert len(await store.elements()) > position


async def test_a_damaged_session_can_be_cleared_and_deleted(
    server: ValkeyServer, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    await with_damage(kind, tmp_path, server, damage)
    async with session_on(kind, tmp_path, server) as session:
        bound = session.bind("user-1")
        await bound.add_items([message("still")])
        await bound.clear_session()
        assert await bound.get_items() == []
        await bound.add_items([message("anew")])
        assert await bound.get_items() == [message("anew")]
        assert await session.delete("user-1")
        assert await session.info("user-1") is None


async def test_a_history_that_was_cut(server: ValkeyServer, tmp_path: Path, kind: str) -> None:
    """By somebody who did not know what it was."""
    async with session_on(kind, tmp_path, server) as session:
        for items in (ITEMS[:1], ITEMS[1:3], ITEMS[3:]):
            await session.bind("user-1").add_items(items)
        if isinstance(session, RedisSession):
            async with raw(server) as client:
                await client.ltrim(session.key("user-1"), 0, 4)
        else:
            with closing(sqlite3.connect(tmp_path / "sessions.db", isolation_level=None)) as file:
                file.execute("DELETE FROM elements WHERE position > 3")
    for operation in ("get_items", "turn_and_read"):
        async with session_on(kind, tmp_path, server) as session:
            with pytest.raises(UndecodableItem) as caught:
                await {**OPERATIONS, "turn_and_read": read_in_turn}[operation](session, "user-1")
            assert caught.value.session_id == "user-1"
            assert caught.value.position == 4
            await assert_not_held(session)


async def assert_not_held(session: AnySession) -> None:
    info = await session.info("user-1")
    assert info is not None
    assert info.open_turn is None


async def test_a_committed_turn_with_a_damaged_item(
    server: ValkeyServer, tmp_path: Path, kind: str
) -> None:
    """Its sender gets the error, rather than half of what it added."""
    async with session_on(kind, tmp_path, server) as session:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items(ITEMS)
        with pytest.raises(AlreadyCommitted) as known:
            await session.turn("user-1", turn_id="turn").__aenter__()
        assert known.value.items == ITEMS
        store: Store = InFile(tmp_path / "sessions.db")
        if isinstance(session, RedisSession):
            store = InRedis(server, session.key("user-1"))
        await store.put(2, b"\xff")
        with pytest.raises(UndecodableItem) as caught:
            await session.turn("user-1", turn_id="turn").__aenter__()
        assert caught.value.position == 2


async def test_many_tasks_get_their_own_errors_at_once(
    server: ValkeyServer, redis_session: RedisSession
) -> None:
    """A refused session does not disturb its neighbours on the same pool."""
    async with raw(server) as client:
        await client.set(redis_session.key("foreign"), "text")
    results = await asyncio.gather(
        *(add_in_turn(redis_session, f"user-{number}") for number in range(20)),
        *(add_in_turn(redis_session, "foreign") for _ in range(20)),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [type(None)] * 20 + [NotASession] * 20
    assert issubclass(NotASession, TurnwiseError)
