"""The fault proxy: transparent by default, and exact about what it loses."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from turnwise.testing.proxy import (
    Command,
    CutReply,
    DelayReply,
    DelayRequest,
    DropRequest,
    FaultProxy,
    LoseReply,
    lose_next,
    lose_replies,
    once,
)
from turnwise.testing.proxy.framing import Framer, command_words
from turnwise.testing.servers import ValkeyServer

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
async def client(proxy: FaultProxy, request: pytest.FixtureRequest) -> AsyncIterator[Redis]:
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


async def test_messages_pass_beside_commands(client: Redis, direct: Redis) -> None:
    async with client.pubsub() as subscription:
        await subscription.subscribe("one", "two")
        for _ in range(2):
            message = await subscription.get_message(timeout=5)
            assert message is not None
            assert message["type"] == "subscribe"
        await subscription.ping()
        await direct.publish("one", "hello")
        seen = [await subscription.get_message(timeout=5) for _ in range(2)]
        assert sorted(message["type"] for message in seen if message) == ["message", "pong"]


async def test_a_blocked_command_blocks_only_its_connection(client: Redis, direct: Redis) -> None:
    waiting = asyncio.ensure_future(client.blpop(["list"], timeout=5))
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
    request = (
        b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\n" + b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n"
    )
    assert traffic.to_server == len(request)
    assert traffic.to_client == len(b"+OK\r\n" + b"$5\r\nvalue\r\n")
    assert proxy.total.names[-1] == "PING"
    assert {"HELLO", "AUTH"} & set(proxy.total.names)


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
    proxy.faults = once("incr", DropRequest())
    with pytest.raises(RedisConnectionError):
        await client.incr("number")
    assert await direct.get("number") is None
    assert await client.incr("number") == 1
    assert [command.name for command, _ in proxy.injected] == ["INCR"]


async def test_a_lost_reply_is_of_an_executed_command(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    proxy.faults = lose_next("INCR")
    with pytest.raises(RedisConnectionError):
        await client.incr("number")
    assert await direct.get("number") == "1"
    assert await client.incr("number") == 2


async def test_a_reply_is_lost_by_what_the_command_says(proxy: FaultProxy, client: Redis) -> None:
    proxy.faults = lose_next(lambda command: command.args[:1] == (b"two",))
    assert await client.incr("one") == 1
    with pytest.raises(RedisConnectionError):
        await client.incr("two")


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
    proxy.faults = once("INCR", delay)
    waiting = asyncio.ensure_future(client.incr("number"))
    await delay.arrived.wait()
    assert await direct.get("number") == "1"
    assert await client.ping()
    assert not waiting.done()
    delay.release()
    assert await waiting == 1


async def test_a_delay_may_have_a_length(proxy: FaultProxy, client: Redis) -> None:
    delay = DelayReply(seconds=0.02)
    proxy.faults = once("INCR", delay)
    assert await client.incr("number") >= 1
    assert delay.arrived.is_set()


async def test_a_delayed_request_arrives_though_its_client_is_gone(
    proxy: FaultProxy, client: Redis, direct: Redis
) -> None:
    delay = DelayRequest()
    proxy.faults = once("SET", delay)
    waiting = asyncio.ensure_future(client.set("key", "late"))
    await delay.arrived.wait()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    await client.connection_pool.disconnect()
    assert await direct.get("key") is None
    delay.release()
    async with asyncio.timeout(5):
        while await direct.get("key") != "late":
            await asyncio.sleep(0.005)


async def test_all_traffic_can_be_held(proxy: FaultProxy, client: Redis, direct: Redis) -> None:
    proxy.pause()
    waiting = asyncio.ensure_future(client.set("key", "value"))
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
    proxy.faults = lose_replies(0.3, random.Random(7), names={"INCR"})
    lost = 0
    for _ in range(60):
        try:
            await client.incr("number")
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


FRAMES = [
    b"+OK\r\n",
    b"-ERR no\r\n",
    b":1\r\n",
    b"_\r\n",
    b"$-1\r\n",
    b"*-1\r\n",
    b"*0\r\n",
    b"$0\r\n\r\n",
    b"$7\r\na\r\nb\r\nc\r\n",
    b"*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n_\r\n",
    b"%2\r\n+a\r\n:1\r\n+b\r\n*1\r\n#t\r\n",
    b"|1\r\n+ttl\r\n:3\r\n$2\r\nhi\r\n",
    b">3\r\n+message\r\n+channel\r\n$2\r\nhi\r\n",
    b"~2\r\n,1.5\r\n(12345\r\n",
    b"=6\r\ntxt:ab\r\n",
]


@given(st.lists(st.sampled_from(FRAMES)), st.randoms(use_true_random=False))
def test_frames_are_found_wherever_the_pieces_end(frames: list[bytes], rng: random.Random) -> None:
    stream, framer, found = b"".join(frames), Framer(), []
    while stream:
        size = rng.randint(1, 12)
        found += framer.feed(stream[:size])
        stream = stream[size:]
    assert found == frames


def test_garbage_is_no_reply() -> None:
    with pytest.raises(ValueError, match="not RESP"):
        Framer().feed(b"HTTP/1.1 400 Bad Request\r\n")


def test_requests_may_be_inline() -> None:
    frames = Framer(requests=True).feed(b"set a  1\r\n*1\r\n$4\r\nPING\r\n\r\n")
    assert [command_words(frame) for frame in frames] == [[b"set", b"a", b"1"], [b"PING"], [b""]]


async def raw_connection(
    proxy: FaultProxy,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection(proxy.host, proxy.port)
    writer.write(b"AUTH secret\r\n")
    assert await reader.readline() == b"+OK\r\n"
    return reader, writer
