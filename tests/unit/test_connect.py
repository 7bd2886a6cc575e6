"""From URLs to stores: every form that is documented."""

from __future__ import annotations

import os
import ssl
from pathlib import Path
from typing import Any

import agents
import pytest
import redis.asyncio
from agents import SessionSettings
from redis.asyncio.sentinel import SentinelConnectionPool

from tests.scripted import agent, echo
from turnwise import MemorySession, RedisSession, Runner, SQLiteSession, connect
from turnwise.errors import InvalidURL, UsageError


def place(pool: Any) -> tuple[str, int, int]:
    """Host, port and database that a pool connects to, defaults filled in."""
    connection = pool.make_connection()
    return connection.host, connection.port, connection.db


def login(pool: Any) -> tuple[str | None, str | None]:
    settings = pool.connection_kwargs
    return settings.get("username"), settings.get("password")


@pytest.mark.parametrize(
    ("url", "where", "who"),
    [
        ("redis://h", ("h", 6379, 0), (None, None)),
        ("REDIS://h:7/3", ("h", 7, 3), (None, None)),
        ("valkey://h:7", ("h", 7, 0), (None, None)),
        ("redis://:p%40ss@h", ("h", 6379, 0), (None, "p@ss")),
        ("valkey://app:secret@h/2", ("h", 6379, 2), ("app", "secret")),
        ("redis://h?db=4", ("h", 6379, 4), (None, None)),
        ("redis://[::1]:7/1", ("::1", 7, 1), (None, None)),
    ],
)
async def test_a_server(
    url: str, where: tuple[str, int, int], who: tuple[str | None, str | None]
) -> None:
    async with connect(url) as session:
        assert isinstance(session, RedisSession)
        assert isinstance(session.client, redis.asyncio.Redis)
        assert place(session.client.connection_pool) == where
        assert login(session.client.connection_pool) == who
        plain = session.client.connection_pool.connection_class
        assert issubclass(plain, redis.asyncio.Connection)
        assert not issubclass(plain, redis.asyncio.SSLConnection)


@pytest.mark.parametrize("scheme", ["rediss", "valkeys"])
async def test_tls_checks_certificate_and_host_name(scheme: str) -> None:
    async with connect(f"{scheme}://app:secret@h:7/1?ssl_ca_certs=/ca.pem") as session:
        assert isinstance(session, RedisSession)
        pool = session.client.connection_pool
        connection = pool.make_connection()
        assert isinstance(connection, redis.asyncio.SSLConnection)
        assert connection.ssl_context.check_hostname
        assert connection.ssl_context.cert_reqs == ssl.CERT_REQUIRED
        assert connection.ssl_context.ca_certs == "/ca.pem"
        assert (place(pool), login(pool)) == (("h", 7, 1), ("app", "secret"))


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [("redis", False), ("valkey", False), ("rediss", True), ("valkeys", True)],
)
async def test_a_cluster(scheme: str, secure: bool) -> None:
    async with connect(f"{scheme}+cluster://app:secret@h:7000") as session:
        assert isinstance(session, RedisSession)
        client = session.client
        assert isinstance(client, redis.asyncio.RedisCluster)
        (node,) = client.nodes_manager.startup_nodes.values()
        assert (node.host, node.port) == ("h", 7000)
        settings = client.nodes_manager.connection_kwargs
        assert (settings["username"], settings["password"]) == ("app", "secret")
        assert issubclass(settings["connection_class"], redis.asyncio.SSLConnection) == secure


@pytest.mark.parametrize(
    ("scheme", "secure"),
    [("redis", False), ("valkey", False), ("rediss", True), ("valkeys", True)],
)
async def test_sentinels(scheme: str, secure: bool) -> None:
    own = "?sentinel_username=watch&sentinel_password=dog"
    url = f"{scheme}+sentinel://app:secret@one,two:7,[::1]/main/2{own}"
    async with connect(url) as session:
        assert isinstance(session, RedisSession)
        pool = session.client.connection_pool
        assert isinstance(pool, SentinelConnectionPool)
        assert pool.service_name == "main"
        assert login(pool) == ("app", "secret")
        assert pool.connection_kwargs["db"] == 2
        watchers = [sentinel.connection_pool for sentinel in pool.sentinel_manager.sentinels]
        assert [place(each)[:2] for each in watchers] == [
            ("one", 26379),
            ("two", 7),
            ("::1", 26379),
        ]
        assert {login(each) for each in watchers} == {("watch", "dog")}
        for each in watchers:
            connection = each.make_connection()
            assert isinstance(connection, redis.asyncio.SSLConnection) == secure


async def test_a_sqlite_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkdir("with space")
    for url, path in [
        ("sqlite:///one.db", "one.db"),
        (f"sqlite:///{tmp_path}/two.db", "two.db"),
        ("sqlite:///with%20space/three%23.db", "with space/three#.db"),
    ]:
        async with connect(url, session_id="s") as session:
            assert isinstance(session, SQLiteSession)
            await session.add_items([{"role": "user", "content": url}])
        assert (tmp_path / path).exists()
        async with SQLiteSession(tmp_path / path, session_id="s") as session:
            assert await session.get_items() == [{"role": "user", "content": url}]


@pytest.mark.parametrize("url", ["sqlite://host/x.db", "sqlite:///", "sqlite:///a#b.db"])
def test_what_would_be_another_file_is_refused(url: str) -> None:
    with pytest.raises(InvalidURL, match=r"sqlite:///sessions\.db"):
        connect(url)


async def test_memory_is_this_objects_own() -> None:
    one, other = connect("memory://", session_id="s"), connect("memory://", session_id="s")
    assert isinstance(one, MemorySession)
    await one.add_items([{"role": "user", "content": "x"}])
    assert await other.get_items() == []


@pytest.mark.parametrize("url", ["memory://", "sqlite:///x.db", "redis://h"])
async def test_every_kind_takes_the_same_settings(url: str) -> None:
    events: list[Any] = []
    session = connect(
        url,
        session_id="s",
        ttl=60,
        limit=3,
        session_settings=SessionSettings(limit=9),
        lease=5.0,
        max_item_bytes=100,
        max_turn_bytes=200,
        max_session_bytes=300,
        max_queue=4,
        retention=60.0,
        compression=False,
        cache_bytes=0,
        hooks=(events.append,),
        worker="me",
    )
    async with session:
        assert (session.session_id, session.limit) == ("s", 3)
        known = session.runtime.settings
        assert (known.lease, known.compression, known.cache_bytes) == (5.0, False, 0)
        assert (known.max_item_bytes, known.max_turn_bytes) == (100, 200)
        assert session.runtime.name == "me"
    wrong: Any = {"tll": 60}
    with pytest.raises(UsageError, match=r"tll.*lease"):
        connect(url, **wrong)


async def test_hooks_receive_the_events_of_a_run() -> None:
    events: list[Any] = []
    session = connect("memory://", hooks=(events.append,), worker="me")
    await Runner.run(agent(echo), "hi", session=session, session_id="s", turn_id="t")
    assert [type(event).__name__ for event in events] == ["TurnBegunEvent", "TurnCommittedEvent"]
    assert {(event.session_id, event.turn_id) for event in events} == {("s", "t")}


async def test_a_key_is_its_prefix_and_its_id() -> None:
    async with connect("redis://h", key_prefix="myapp:agent_sessions:") as session:
        assert isinstance(session, RedisSession)
        assert session.key("session:usr_1:conv_1") == "myapp:agent_sessions:session:usr_1:conv_1"
        assert session.bind("s").key() == "myapp:agent_sessions:s"
    async with RedisSession.from_url("redis://h", session_id="s") as session:
        assert session.key() == "agents:sessions:s"


async def test_a_client_of_the_applications_stays_open() -> None:
    client = redis.asyncio.Redis(host="h", decode_responses=True)
    async with RedisSession(client, session_id="s") as session:
        assert session.client is client
    assert isinstance(session, agents.memory.Session)
    assert place(client.connection_pool) == ("h", 6379, 0)
    await client.aclose()
