"""What the reference document does with a RedisSession, on real servers.

Only the imports differ from it: RedisSession and Runner come from turnwise.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import redis.asyncio as aioredis
from agents import Agent
from fastapi import FastAPI, Request
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from examples.offline import converse, model, text_of
from tests.integration.programs import STARTED, programs
from turnwise import RedisSession, Runner, make_session_id
from turnwise.errors import SessionGone, StoreUnavailable
from turnwise.testing.servers import ValkeyCluster, ValkeyServer, find_redis, find_valkey
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
PREFIX = "myapp:agent_sessions:"
NAME = "session:usr_1:conv_1"
KEY = PREFIX + NAME
FINDERS = {"valkey": find_valkey, "redis": find_redis}


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=FINDERS)
async def running(request: pytest.FixtureRequest) -> AsyncIterator[ValkeyServer]:
    binary = FINDERS[request.param]()
    if binary is None:
        give_up = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        give_up(f"no {request.param} server is installed")
    async with ValkeyServer(binary=binary) as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def server(running: ValkeyServer) -> ValkeyServer:
    await running.command("FLUSHALL")
    return running


@pytest_asyncio.fixture(loop_scope="module")
async def session(server: ValkeyServer) -> AsyncIterator[RedisSession]:
    async with RedisSession.from_url(server.url, key_prefix=PREFIX) as session:
        yield session


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent[Any]:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    return Agent(name="SupportAgent", instructions="You help customers.", model=model(converse))


def second_answer(first: str, second: str) -> str:
    """What the agent says to a second message if it sees the first turn."""
    return f"Message 2 of our conversation is {second!r}. Before that you said: {first!r}."


async def said(session: RedisSession, name: str = NAME) -> list[str]:
    items: list[Any] = await session.bind(name).get_items()
    return [text_of(dict(item)) for item in items if item.get("role") == "user"]


async def two_turns(session: RedisSession, agent: Agent[Any]) -> None:
    """Turn 1, then turn 2, which sees it."""
    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    result = await Runner.run(agent, "Follow up", session=session, session_id=NAME)
    assert result.final_output == second_answer("Hello", "Follow up")
    assert await said(session) == ["Hello", "Follow up"]


# Set-up.


async def test_from_url(server: ValkeyServer, agent: Agent[Any]) -> None:
    session = RedisSession.from_url(server.url)
    await two_turns(session, agent)
    await session.aclose()


async def test_from_url_with_a_password(agent: Agent[Any]) -> None:
    async with ValkeyServer(password="my p@ssword/:") as server:
        session = RedisSession.from_url(server.url)
        await two_turns(session, agent)
        await session.aclose()


async def test_from_url_with_tls_and_an_own_authority(agent: Agent[Any]) -> None:
    async with ValkeyServer(tls=True, password="secret") as server:
        assert server.url.startswith("rediss://:secret@")
        assert "?ssl_ca_certs=" in server.url
        session = RedisSession.from_url(server.url)
        await two_turns(session, agent)
        await session.aclose()
        async with RedisSession.from_url(server.url.partition("?")[0]) as stranger:
            with pytest.raises(StoreUnavailable):
                await Runner.run(agent, "Hello", session=stranger, session_id=NAME)


@pytest.mark.parametrize("decode_responses", [False, True])
@pytest.mark.parametrize(
    "settings",
    [
        {"max_connections": 20},
        {
            "max_connections": 50,
            "socket_connect_timeout": 5,
            "socket_timeout": 5,
            "retry_on_timeout": True,
        },
    ],
    ids=["reused client", "production pool"],
)
async def test_an_existing_client(
    settings: dict[str, Any], decode_responses: bool, server: ValkeyServer, agent: Agent[Any]
) -> None:
    redis_client = aioredis.from_url(server.url, decode_responses=decode_responses, **settings)
    session = RedisSession(client=redis_client)
    assert session.client is redis_client
    await two_turns(session, agent)
    answers = [await redis_client.set("cache", "1"), await redis_client.get("cache")]
    assert answers == [True, "1" if decode_responses else b"1"]
    assert len(await server.command("CLIENT", "LIST")) > 0
    await stays_open(session, redis_client, server)
    await redis_client.aclose()


async def stays_open(session: RedisSession, client: Redis, server: ValkeyServer) -> None:
    """Closing the session closes none of the client's connections."""
    async with client.client() as pinned:
        number = await pinned.client_id()
        await session.aclose()
        async with session:
            pass
        assert await pinned.client_id() == number
    assert await client.ping()
    assert await client.client_id() == number


async def test_a_pool_smaller_than_the_crowd_is_not_overdrawn(
    server: ValkeyServer, agent: Agent[Any]
) -> None:
    """More sessions at once than the pool has connections: they take turns with it."""
    client = aioredis.from_url(server.url, max_connections=20)
    session = RedisSession(client=client)
    names = [f"session:usr_{number}:conv_1" for number in range(32)]
    runs = [Runner.run(agent, "Hello", session=session, session_id=name) for name in names]
    answers = {result.final_output for result in await asyncio.gather(*runs)}
    assert answers == {"Message 1 of our conversation is 'Hello'. We have just met."}
    await client.aclose()


# Distributed workers.


async def test_two_workers_see_each_others_turns(tmp_path: Path) -> None:
    answers = []
    quiet = {"OPENAI_AGENTS_DISABLE_TRACING": "1"}
    async with ValkeyServer() as server, programs(tmp_path) as started:
        for message in ("Hello", "Follow up"):
            command = ("-m", "tests.integration.reference_worker", server.url, NAME, message)
            worker = started.python(*command, environment=quiet)

            async def ended(worker: Any = worker) -> bool:
                return not worker.alive

            await until(ended, STARTED, f"{message!r} was answered")
            answers.append(worker.log().strip())
    assert answers[1] == second_answer("Hello", "Follow up")


async def test_load_balanced_api_servers(server: ValkeyServer, agent: Agent[Any]) -> None:
    """Two replicas of the app, in this process."""

    def replica() -> tuple[FastAPI, RedisSession]:
        app = FastAPI()
        session = RedisSession.from_url(server.url)

        @app.post("/chat")
        async def chat(request: Request) -> dict[str, str]:
            body = await request.json()
            session_id = body["session_id"]
            message = body["message"]
            result = await Runner.run(agent, message, session=session, session_id=session_id)
            return {"response": result.final_output}

        return app, session

    async def post(app: FastAPI, message: str) -> Any:
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://replica") as client:
            body = {"session_id": NAME, "message": message}
            return (await client.post("/chat", json=body)).json()

    (one, session), (other, other_session) = replica(), replica()
    await post(one, "Hello")
    assert await post(other, "Follow up") == {"response": second_answer("Hello", "Follow up")}
    await session.aclose()
    await other_session.aclose()


async def test_background_worker_processing(session: RedisSession, agent: Agent[Any]) -> None:
    """The web server's turn is seen by the background worker's."""

    async def process_job(job: dict[str, str]) -> str:
        result = await Runner.run(
            agent, job["message"], session=session, session_id=job["session_id"]
        )
        answer: str = result.final_output
        return answer

    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    answer = await process_job({"session_id": NAME, "message": "Analyze this"})
    assert answer == second_answer("Hello", "Analyze this")


@pytest.mark.parametrize("decode_responses", [False, True])
async def test_multi_region_deployment(decode_responses: bool, agent: Agent[Any]) -> None:
    async with ValkeyCluster(3, 0) as cluster:
        redis_client = aioredis.RedisCluster.from_url(
            cluster.node_url, decode_responses=decode_responses
        )
        session = RedisSession(client=redis_client)
        await two_turns(session, agent)
        await session.client.ping()
        await session.aclose()
        assert await redis_client.set("cache", "1")  # still open
        await redis_client.aclose()


# Session ids and keys.


def generate_session_id(user_id: str, conversation_id: str) -> str:
    return f"session:{user_id}:{conversation_id}"


async def test_session_ids(session: RedisSession, agent: Agent[Any]) -> None:
    name = generate_session_id("usr_1", "conv_1")
    assert name == make_session_id("usr_1", "conv_1") == NAME
    await Runner.run(agent, "Hello", session=session, session_id=name)
    await Runner.run(agent, "Hi", session=session, session_id=make_session_id("usr_1", "conv_2"))
    assert await said(session, NAME) == ["Hello"]
    assert sorted([found async for found in session.scan()]) == [NAME, "session:usr_1:conv_2"]


async def test_the_prefix_and_the_id_are_the_only_key(
    session: RedisSession, server: ValkeyServer, agent: Agent[Any]
) -> None:
    await two_turns(session, agent)
    assert await server.command("KEYS", "*") == [KEY]
    assert await server.command("TYPE", KEY) == "list"


async def test_counting_keys_counts_sessions(
    session: RedisSession, server: ValkeyServer, agent: Agent[Any]
) -> None:
    """Also while turns run and others wait for them."""
    names = [f"session:usr_{number}:conv_1" for number in range(5)]
    for name in names:
        await Runner.run(agent, "Hello", session=session, session_id=name)
    async with session.turn(names[0]):
        waiting = asyncio.create_task(
            Runner.run(agent, "Me too", session=session, session_id=names[0])
        )

        async def queued() -> bool:
            info = await session.info(names[0])
            return info is not None and info.queued == 1

        await until(queued, STARTED, "the other waited")
        assert sorted(await server.command("KEYS", f"{PREFIX}*")) == [PREFIX + it for it in names]
    await waiting
    assert len(await server.command("KEYS", f"{PREFIX}*")) == 5


async def test_memory_usage_shows_the_session(
    session: RedisSession, server: ValkeyServer, agent: Agent[Any]
) -> None:
    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    before = await server.command("MEMORY", "USAGE", KEY)
    await Runner.run(agent, os.urandom(5_000).hex(), session=session, session_id=NAME)
    assert 0 < before < before + 5_000 < await server.command("MEMORY", "USAGE", KEY)


# Production.


async def check_redis_health(session: RedisSession) -> None:
    try:
        await session.client.ping()
    except Exception as error:
        raise SystemExit(1) from error


async def test_health_checks(session: RedisSession) -> None:
    await check_redis_health(session)
    async with ValkeyServer() as server:
        client = Redis.from_url(server.url)
        gone = RedisSession(client=client)
        await check_redis_health(gone)
        await server.kill()
        with pytest.raises(SystemExit) as ended:
            await check_redis_health(gone)
        assert isinstance(ended.value.__cause__, RedisConnectionError)
        await client.aclose()


Change = Callable[[RedisSession, Agent[Any]], Awaitable[object]]


async def _streamed(session: RedisSession, agent: Agent[Any]) -> None:
    result = Runner.run_streamed(agent, "Hello", session=session, session_id=NAME)
    async for _ in result.stream_events():
        pass


async def _pop_all(session: RedisSession, agent: Agent[Any]) -> None:
    while await session.bind(NAME).pop_item() is not None:
        pass


async def _rolled_back(session: RedisSession, agent: Agent[Any]) -> None:
    with pytest.raises(KeyError):
        async with session.turn(NAME) as turn:
            await turn.add_items([{"role": "user", "content": "never mind"}])
            raise KeyError


async def _add(session: RedisSession, agent: Agent[Any]) -> None:
    await session.bind(NAME).add_items([{"role": "user", "content": "a note"}])


async def _two_at_once(session: RedisSession, agent: Agent[Any]) -> None:
    runs = [Runner.run(agent, text, session=session, session_id=NAME) for text in "ab"]
    await asyncio.gather(*runs)


CHANGES: dict[str, Change] = {
    "run": lambda session, agent: Runner.run(agent, "Hi", session=session, session_id=NAME),
    "streamed": _streamed,
    "two at once": _two_at_once,
    "rolled back": _rolled_back,
    "add": _add,
    "pop": lambda session, agent: session.bind(NAME).pop_item(),
    "pop all": _pop_all,
    "clear": lambda session, agent: session.bind(NAME).clear_session(),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_an_expiry_is_not_undone(
    change: str, session: RedisSession, server: ValkeyServer, agent: Agent[Any]
) -> None:
    """It goes on counting down whatever is done to the session, and takes all of it along."""
    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    assert await server.command("TTL", KEY) == -1
    await session.client.expire(KEY, 60 * 60 * 24 * 7)
    before = await server.command("PTTL", KEY)
    await CHANGES[change](session, agent)
    assert 0 < await server.command("PTTL", KEY) <= before

    await session.client.pexpire(KEY, 1)

    async def expired() -> bool:
        return not await server.command("EXISTS", KEY)

    await until(expired, STARTED, "the session expired")
    assert await session.info(NAME) is None
    assert await session.bind(NAME).get_items() == []
    assert await server.command("DBSIZE") == 0
    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    assert await said(session) == ["Hello"]
    assert await server.command("TTL", KEY) == -1


async def test_a_turn_that_outlives_its_session_raises_session_gone(
    session: RedisSession, server: ValkeyServer, agent: Agent[Any]
) -> None:
    await Runner.run(agent, "Hello", session=session, session_id=NAME)
    with pytest.raises(SessionGone):
        async with session.turn(NAME) as turn:
            await turn.add_items([{"role": "user", "content": "too late"}])
            await session.client.pexpire(KEY, 1)

            async def expired() -> bool:
                return not await server.command("EXISTS", KEY)

            await until(expired, STARTED, "the session expired")
    assert await server.command("DBSIZE") == 0
