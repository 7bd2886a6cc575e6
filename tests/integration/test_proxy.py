"""The fault proxy: transparent by default, and exact about what it loses."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ReadOnlyError

from turnwise.testing.proxy import (
    Command,
    CutReply,
    DelayReply,
    DelayRequest,
    DropRequest,
    FaultProxy,
    LoseReply,
    RefuseRequest,
    lose_next,
    lose_replies,
    once,
)
from turnwise.testing.servers import ValkeyServer

# Seconds until something that must happen counts as not happening.
LONG = 30

# Servers serve the whole module; each test has a proxy, and keys, of its own.
pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer(password="secret") as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def direct(server: ValkeyServer) -> AsyncIterator[Redis]:
    async with connected(server.url) as client:
        await client.flushall()
        yield client


@pytest_asyncio.fixture(loop_scope="module")
async def proxy(server: ValkeyServer) -> AsyncIterator[FaultProxy]:
    async with FaultProxy.before(server.url) as proxy:
        yield proxy


@pytest_asyncio.fixture(loop_scope="module", params=[2, 3])
async def client(
    proxy: FaultProxy, direct: Redis, request: pytest.FixtureRequest
) -> AsyncIterator[Redis]:
    # After `direct`, which has emptied the server.
    async with connected(proxy.url, request.param) as client:
        await client.ping()
        yield client


@asynccontextmanager
async def connected(url: str, protocol: int = 2) -> AsyncIterator[Redis]:
    client = Redis.from_url(
        url, protocol=protocol, retry=Retry(NoBackoff(), 0), decode_responses=True
    )
    try:
        yield client
    finally:
        await client.aclose()


async def test_it_is_transparent(client: Redis, direct: Redis) -> None:
    large = "v" * 3_000_000
    await client.set("large", large)
    assert await client.get("large") == large
    async with client.pipeline(transaction=True) as pipeline:
        for number in range(500):
            pipeline.rpush("list", number)
        pipeline.lrange("list", 0, -1)
        assert (await pipeline.execute())[-1] == [str(number) for number in range(500)]
    await client.hset("hash", mapping={"a": "1", "b": ""})
    assert await client.hgetall("hash") == {"a": "1", "b": ""}
    assert await client.get("absent") is None
    assert await client.config_get("maxmemory") == await direct.config_get("maxmemory")


@pytest.mark.parametrize("protocol", [2, 3])
async def test_messages_pass_beside_commands(
    proxy: FaultProxy, direct: Redis, protocol: int
) -> None:
    reader, writer = await raw_connection(proxy)
    writer.write(f"HELLO {protocol}\r\nSUBSCRIBE one two\r\n".encode())
    await reader.readuntil(b"$3\r\ntwo\r\n:2\r\n")
    proxy.faults = once(lambda command: command.args == (b"lost",), LoseReply())
    writer.write(b"PING kept\r\n")
    await reader.readuntil(b"kept\r\n")
    await direct.publish("one", "hello")
    await reader.readuntil(b"$5\r\nhello\r\n")
    writer.write(b"PING lost\r\n")
    assert await reader.read() == b""
    writer.close()


async def test_a_blocked_command_blocks_only_its_connection(client: Redis, direct: Redis) -> None:
    waiting = asyncio.ensure_future(client.blpop(["list"], timeout=LONG))
    assert await client.ping()
    await direct.rpush("list", "value")
    assert list(await waiting or ()) == ["list", "value"]


async def test_commands_and_bytes_are_counted(proxy: FaultProxy, client: Redis) -> None:
    with proxy.measure() as traffic:
        await client.set("key", "value")
        await client.get("key")
    await client.ping()
    assert traffic.names == ["SET", "GET"]
    assert traffic.commands == 2
    assert traffic.counts["GET"] == 1
    assert traffic.round_trips == 2
    request = (
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n" + b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
    )
    assert traffic.to_server == len(request)
    assert traffic.to_client == len(b"+OK\r\n" + b"$5\r\nvalue\r\n")
    assert proxy.total.names[-1] == "PING"
    assert {"HELLO", "AUTH"} & set(proxy.total.names)


async def test_a_pipeline_is_one_round_trip(proxy: FaultProxy, client: Redis) -> None:
    with proxy.measure() as traffic:
        async with client.pipeline(transaction=True) as pipeline:
            pipeline.set("key", "value")
            pipeline.get("key")
            await pipeline.execute()
    assert traffic.names == ["MULTI", "SET", "GET", "EXEC"]
    assert traffic.round_trips == 1


async def test_commands_are_described(proxy: FaultProxy, client: Redis) -> None:
    seen: list[Command] = []
    proxy.faults = seen.append
    await client.set("key", b"\x00\xff")
    await client.strlen("key")
    first, second = seen
    assert (first.name, first.args) == ("SET", (b"key", b"\x00\xff"))
    assert second.name == "STRLEN"
    assert second.ordinal == first.ordinal + 1
    assert second.connection == first.connection == 1


async def test_a_dropped_request_is_not_executed(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = once("incrby", DropRequest())
    with pytest.raises(RedisConnectionError):
        await client.incrby("number")
    assert await direct.get("number") is None
    assert await client.incrby("number") == 1
    assert [command.name for command, _ in proxy.injected] == ["INCRBY"]


async def test_a_refused_request_is_not_executed(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = once("incrby", RefuseRequest("READONLY You can't write here."))
    with pytest.raises(ReadOnlyError, match="You can't write here"):
        await client.incrby("number")
    assert await direct.get("number") is None
    assert await client.incrby("number") == 1
    assert proxy.total.counts["PING"] == 1, "only the client's own is counted"


async def test_a_refusal_comes_in_its_turn(proxy: FaultProxy, direct: Redis) -> None:
    reader, writer = await raw_connection(proxy)
    proxy.faults = once("GET", RefuseRequest("LOADING not yet"))
    writer.write(b"SET a 1\r\nGET a\r\nSET b 2\r\nQUIT\r\n")
    assert await reader.read() == b"+OK\r\n-LOADING not yet\r\n+OK\r\n+OK\r\n"
    writer.close()
    assert await direct.get("b") == "2"


async def test_a_lost_reply_is_of_an_executed_command(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = lose_next("INCRBY")
    with pytest.raises(RedisConnectionError):
        await client.incrby("number")
    assert await direct.get("number") == "1"
    assert await client.incrby("number") == 2


async def test_a_reply_is_lost_by_what_the_command_says(proxy: FaultProxy, client: Redis) -> None:
    proxy.faults = lose_next(lambda command: command.args[:1] == (b"two",))
    assert await client.incrby("one") == 1
    with pytest.raises(RedisConnectionError):
        await client.incrby("two")


async def test_replies_before_the_lost_one_are_delivered(proxy: FaultProxy, direct: Redis) -> None:
    reader, writer = await raw_connection(proxy)
    proxy.faults = once("GET", LoseReply())
    writer.write(b"SET a 1\r\nSET b 2\r\nGET a\r\n")
    assert await reader.read() == b"+OK\r\n+OK\r\n"
    writer.close()
    assert await direct.get("b") == "2"


async def test_a_cut_reply_ends_in_the_middle(proxy: FaultProxy, direct: Redis) -> None:
    await direct.set("key", "v" * 1_000)
    reader, writer = await raw_connection(proxy)
    proxy.faults = once("GET", CutReply(0.25))
    writer.write(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
    whole = b"$1000\r\n" + b"v" * 1_000 + b"\r\n"
    assert await reader.read() == whole[: len(whole) // 4]
    writer.close()


async def test_a_cut_reply_is_an_error_for_the_client(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = once("LPUSH", CutReply())
    with pytest.raises(RedisConnectionError):
        await client.lpush("list", "value")
    assert await direct.llen("list") == 1


async def test_a_delayed_reply_is_of_an_executed_command(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    delay = DelayReply()
    proxy.faults = once("INCRBY", delay)
    waiting = asyncio.ensure_future(client.incrby("number"))
    await arrival(delay)
    assert await direct.get("number") == "1"
    assert await client.ping()
    assert not waiting.done()
    delay.release()
    assert await waiting == 1


async def test_a_delay_may_have_a_length(proxy: FaultProxy, client: Redis) -> None:
    delay = DelayReply(seconds=0.02)
    proxy.faults = once("INCRBY", delay)
    assert await client.incrby("number") >= 1
    assert delay.arrived.is_set()


async def test_a_delayed_request_arrives_though_its_client_is_gone(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    delay = DelayRequest()
    proxy.faults = once("SET", delay)
    waiting = asyncio.ensure_future(client.set("key", "late"))
    await arrival(delay)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await client.connection_pool.disconnect()
    assert await direct.get("key") is None
    delay.release()
    async with asyncio.timeout(LONG):
        while await direct.get("key") != "late":
            await asyncio.sleep(0.005)


async def test_all_traffic_can_be_held(proxy: FaultProxy, client: Redis, direct: Redis) -> None:
    proxy.pause()
    waiting = asyncio.ensure_future(client.set("key", "value"))
    async with asyncio.timeout(LONG):
        while proxy.total.names[-1] != "SET":
            await asyncio.sleep(0.001)
    assert await direct.get("key") is None
    assert not waiting.done()
    proxy.resume()
    assert await waiting


async def test_new_connections_can_be_refused(proxy: FaultProxy, client: Redis) -> None:
    proxy.refuse()
    assert await client.ping()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(proxy.host, proxy.port)
    await proxy.drop_connections()
    with pytest.raises(RedisConnectionError):
        await client.ping()
    await proxy.accept()
    assert await client.ping()


async def test_a_dead_server_ends_the_connections() -> None:
    async with (
        ValkeyServer() as server,
        FaultProxy(server.host, server.port) as proxy,
        connected(proxy.url) as client,
    ):
        assert await client.ping()
        await server.kill()
        with pytest.raises(RedisConnectionError):
            await client.ping()
        await server.restart()
        assert await client.ping()


async def test_losses_come_at_random_but_the_same_for_a_seed(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = lose_replies(0.3, random.Random(7), names={"INCRBY"})
    lost = 0
    for _ in range(60):
        try:
            await client.incrby("number")
        except RedisConnectionError:
            lost += 1
    dice = random.Random(7)
    assert lost == sum(dice.random() < 0.3 for _ in range(60)) == len(proxy.injected)
    assert await direct.get("number") == "60"


async def test_a_handshake_is_not_lost(proxy: FaultProxy) -> None:
    proxy.faults = lose_replies(1, random.Random(7))
    async with connected(proxy.url) as client:
        with pytest.raises(RedisConnectionError):
            await client.ping()
    assert [command.name for command, _ in proxy.injected] == ["PING"]


async def test_the_url_keeps_login_and_database() -> None:
    proxy = FaultProxy.before("redis://user:p%40ss@localhost:1234/3?socket_timeout=1")
    async with proxy:
        assert proxy.url == f"redis://user:p%40ss@127.0.0.1:{proxy.port}/3?socket_timeout=1"
    with pytest.raises(ValueError, match="rediss"):
        FaultProxy.before("rediss://localhost")


async def raw_connection(
    proxy: FaultProxy,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"AUTH secret\r\n")
    assert await reader.readline() == b"+OK\r\n"
    return reader, writer


async def arrival(delay: DelayReply | DelayRequest) -> None:
    async with asyncio.timeout(LONG):
        await delay.arrived.wait()
