"""Faults planted in a running server: each is found, alone, and gone when it is mended."""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from types import SimpleNamespace

import pytest
import pytest_asyncio
from redis.asyncio import Redis

from tests.conformance.test_acl import rule
from tests.doctor.lab import diagnosed, found, well
from turnwise import connect
from turnwise.doctor import client as client_checks
from turnwise.doctor import connection, latency, replication
from turnwise.doctor import server as server_checks
from turnwise.stores.redis import RedisStore, probe
from turnwise.testing.proxy import Command, DelayReply, Fault, FaultProxy
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
MB = 1 << 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def healthy() -> AsyncIterator[ValkeyServer]:
    async with well() as server:
        await server.command("SET", "filler", b"x" * 64 * MB)
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def server(healthy: ValkeyServer) -> AsyncIterator[ValkeyServer]:
    """What a test sets is set back, and then nothing is found."""
    settings = "maxmemory maxmemory-policy appendonly appendfsync save maxclients"
    names = [*settings.split(), "min-replicas-to-write"]
    before = [await healthy.command("CONFIG", "GET", name) for name in names]
    yield healthy
    for name, value in before:
        await healthy.command("CONFIG", "SET", name, value)
    await healthy.command("CONFIG", "RESETSTAT")
    await healthy.command("SCRIPT", "FLUSH")
    assert await found(healthy.url) == set()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("maxmemory-policy allkeys-lru", {"evicts"}),
        ("maxmemory-policy volatile-ttl", {"evicts"}),
        ("maxmemory 0 maxmemory-policy allkeys-lru", {"would-evict", "no-maxmemory"}),
        ("maxmemory 0", {"no-maxmemory"}),
        ("maxmemory 75mb", {"memory-low"}),
        ("maxmemory 68mb", {"memory-full"}),
        ("appendonly no", {"not-persistent"}),
        ("appendonly no save 3600_1", {"no-aof"}),
        ("appendfsync no", {"fsync-off"}),
        ("min-replicas-to-write 1", {"too-few-replicas"}),
    ],
)
async def test_a_setting(server: ValkeyServer, settings: str, expected: set[str]) -> None:
    words = [word.replace("_", " ") for word in settings.split()]
    for name, value in zip(words[::2], words[1::2], strict=True):
        await server.command("CONFIG", "SET", name, value)
    report = await diagnosed(server.url)
    assert {fault.name for fault in report.faults} == expected
    for fault in report.faults:
        assert fault.why
        assert fault.where == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "settings",
    ["maxmemory-policy allkeys-lru", "maxmemory 0", "appendonly no", "appendfsync no"],
)
async def test_the_printed_command_mends_it(server: ValkeyServer, settings: str) -> None:
    await server.command("CONFIG", "SET", *settings.split())
    (fault,) = (await diagnosed(server.url)).faults
    command, _, _ = fault.fix.partition(", and")
    assert command.startswith("redis-cli ")
    await server.command(*command.removeprefix("redis-cli ").split())

    async def mended() -> bool:
        return await found(server.url) == set()

    await until(mended, 30, "the fault was mended")


async def test_a_full_table_of_connections(server: ValkeyServer) -> None:
    await server.command("CONFIG", "SET", "maxclients", 40)
    async with AsyncExitStack() as stack:
        for _ in range(33):
            client = Redis.from_url(server.url)
            stack.push_async_callback(client.aclose)
            await client.ping()
        assert await found(server.url) == {"few-connections"}


async def test_scripts_that_fill_the_cache(server: ValkeyServer) -> None:
    async with server.control() as client:
        pipeline = client.pipeline(transaction=False)
        for number in range(1001):
            pipeline.eval(f"return {number}", 0)
        await pipeline.execute()
    assert await found(server.url) == {"script-cache"}


async def test_a_script_that_is_slow(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "_SCRIPT", 100.0)
    slow = "local function now() local t = redis.call('TIME') return t[1] * 1000 + t[2] / 1000 end "
    slow += "local start = now() while now() < start + 200 do end"
    digest = await server.command("SCRIPT", "LOAD", slow)
    await server.command("EVALSHA", digest, 0)
    assert await found(server.url) == {"slow-scripts"}


@pytest.mark.parametrize(
    ("right", "expected"),
    [
        ("-lset", "rights-missing"),
        ("-set", "rights-missing"),
        ("-eval", "rights-missing"),
        ("-scan", "rights-missing"),
        ("-info", "rights-missing"),
        ("-publish", "channels-missing"),
        ("-subscribe", "channels-missing"),
        ("resetkeys", "rights-missing"),
        ("resetchannels", "channels-missing"),
    ],
)
async def test_a_right_that_is_missing(server: ValkeyServer, right: str, expected: str) -> None:
    name, *rights = rule()
    await server.command("ACL", "SETUSER", name, *rights)
    url, prefix = server.url_for(name, "secret"), "test:sessions:"
    assert await found(url, key_prefix=prefix) == set()
    await server.command("ACL", "SETUSER", name, right)
    (fault,) = (await diagnosed(url, key_prefix=prefix)).faults
    assert fault.name == expected
    if right[0] == "-":
        assert f"+{right[1:]}" in fault.fix
    words = shlex.split(fault.fix)
    assert words[:3] == ["redis-cli", "ACL", "SETUSER"]
    await server.command(*words[1:])
    assert await found(url, key_prefix=prefix) == set()
    assert [key for key in await server.command("KEYS", "*") if "doctor" in key] == []
    await server.command("ACL", "DELUSER", name)


async def test_another_prefix_than_the_user_s(server: ValkeyServer) -> None:
    name, *rights = rule()
    await server.command("ACL", "SETUSER", name, *rights)
    url = server.url_for(name, "secret")
    assert await found(url, key_prefix="another:") == {"rights-missing", "channels-missing"}
    await server.command("ACL", "DELUSER", name)


async def test_a_clock_that_differs(server: ValkeyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(
        time=lambda: time.time() - 300, monotonic=time.monotonic, perf_counter=time.perf_counter
    )
    monkeypatch.setattr(probe, "time", clock)
    (fault,) = (await diagnosed(server.url)).faults
    assert fault.name == "clock-skew"
    assert "300.0 s ahead" in fault.what


@pytest.mark.parametrize(
    ("seconds", "slow", "expected"), [(0.5, 1000, "slow-network"), (0.6, 3, "stalls")]
)
async def test_a_slow_way(
    server: ValkeyServer,
    monkeypatch: pytest.MonkeyPatch,
    seconds: float,
    slow: int,
    expected: str,
) -> None:
    monkeypatch.setattr(latency, "_MEDIAN", 400.0)
    monkeypatch.setattr(latency, "_STALL", 500.0)
    left = iter(range(slow))

    def faults(command: Command) -> Fault | None:
        is_slow = command.name == "PING" and next(left, None) is not None
        return DelayReply(seconds) if is_slow else None

    async with FaultProxy.before(server.url) as proxy:
        proxy.faults = faults
        assert await found(proxy.url) == {expected}


async def test_a_server_that_falls_silent_while_it_is_asked(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_TIMEOUT", 3.0)
    monkeypatch.setattr(probe, "_PINGS_TIME", 0.1)
    silent = DelayReply()
    async with FaultProxy.before(server.url) as proxy:
        proxy.faults = lambda command: silent if command.name == "TIME" else None
        assert "server-silent" in await found(proxy.url)
        silent.release()


@pytest.mark.parametrize(
    ("option", "expected"),
    [("max_connections=2", "small-pool"), ("socket_timeout=4", "short-timeout")],
)
async def test_options_of_the_client(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch, option: str, expected: str
) -> None:
    monkeypatch.setattr(client_checks, "_SHORT", 4.5)  # the default of 5 s is longer
    assert await found(f"{server.url}?{option}") == {expected}


async def test_a_lease_that_is_shorter_than_the_timeout(server: ValkeyServer) -> None:
    assert await found(server.url, lease=4) == {"long-timeout"}


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ({"redis_version": "6.2.14"}, {"server-too-old", "server-known-bad"}),
        ({"redis_version": "8.2.2"}, set()),
        ({"redis_version": "8.2.1"}, {"server-known-bad"}),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.9"}, {"server-known-bad"}),
        ({"redis_version": "7.2.4", "valkey_version": "8.1.10"}, set()),
        ({"redis_version": "7.2.4", "valkey_version": "9.1.1"}, {"server-known-bad"}),
    ],
)
async def test_versions(server: ValkeyServer, version: dict[str, str], expected: set[str]) -> None:
    """The server says another version than its own."""
    seen = await probed(server.url)
    info = {name: value for name, value in seen.servers[0].info.items() if "_version" not in name}
    told = replace(seen, servers=[replace(seen.servers[0], info=info | version)])
    faults = [fault for fault in server_checks.check(told) if fault.severity != "ok"]
    assert {fault.name for fault in faults} == expected


async def test_a_public_address_without_tls(server: ValkeyServer) -> None:
    seen = await probed(server.url)
    told = replace(seen, settings=replace(seen.settings, hosts=["9.9.9.9"]))
    assert [fault.name for fault in connection.check(told)] == ["no-tls"]


async def probed(url: str) -> probe.RedisProbe:
    async with connect(url) as session:
        store = session.runtime.store
        assert isinstance(store, RedisStore)
        return await store.probe()


@pytest.mark.parametrize(("save", "expected"), [("", "save-failed"), ("3600 1", "write-failed")])
async def test_a_snapshot_that_failed(server: ValkeyServer, save: str, expected: str) -> None:
    await server.command("CONFIG", "SET", "save", save)
    in_the_way = server.directory / "dump.rdb"
    in_the_way.unlink(missing_ok=True)
    in_the_way.mkdir()

    async def failed() -> bool:
        await server.command("BGSAVE", "SCHEDULE")
        return (await server.info("persistence"))["rdb_last_bgsave_status"] == "err"

    await until(failed, 30, "the snapshot failed")
    (fault,) = (await diagnosed(server.url)).faults
    assert fault.name == expected
    in_the_way.rmdir()

    async def saved() -> bool:
        return not await failed()

    await until(saved, 30, "the snapshot was written")


async def test_a_replica_in_the_primary_s_place(
    server: ValkeyServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with well() as replica:
        await replica.command("REPLICAOF", server.host, server.port)
        await until(replica.follows_primary, 60, "the replica followed")
        assert "is-replica" in await found(replica.url)
        assert await found(server.url) == {"min-replicas-unset"}
        await server.command("CONFIG", "SET", "min-replicas-to-write", 1)
        assert await found(server.url) == set()
        monkeypatch.setattr(replication, "_LAG", 1)
        replica.pause()

        async def lags() -> bool:
            return "replica-behind" in await found(server.url)

        await until(lags, 60, "the replica was behind")
        replica.resume()

    async def gone() -> bool:
        return (await server.info("replication"))["connected_slaves"] == "0"

    await until(gone, 30, "the replica was gone")


async def test_a_server_that_is_down_and_one_that_refuses(server: ValkeyServer) -> None:
    async with well() as other:
        url = other.url
        report = await diagnosed(server.url_for("nobody", "wrong"))
        assert [fault.name for fault in report.faults] == ["refused"]
        assert report.exit_code == 2
    report = await diagnosed(url)
    assert [fault.name for fault in report.faults] == ["unreachable"]
    assert report.exit_code == 2
