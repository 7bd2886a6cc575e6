"""One session object for a whole program: eight threads, several event loops, forked children."""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from redis.asyncio import Redis, RedisCluster, Sentinel

from tests.integration import forking_program
from turnwise import RedisSession, Runner
from turnwise.errors import UsageError
from turnwise.stores.redis.clients import Client, close, disconnect
from turnwise.testing.servers import (
    RedisServer,
    ServerNotFound,
    ValkeyCluster,
    ValkeySentinel,
    ValkeyServer,
)

LIMIT = 280.0
"""Seconds after which a program counts as stuck."""

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork"),
    pytest.mark.asyncio(loop_scope="module"),
]


async def run_program(*arguments: str, **environment: str) -> None:
    """Run a module to its end. It prints "all well" after its last check."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore", "-m", *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(LIMIT):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert (process.returncode, text.strip().splitlines()[-1:]) == (0, ["all well"]), text[-4000:]


SERVERS: dict[str, Callable[[], Any]] = {
    "valkey": ValkeyServer,
    "redis": RedisServer,
    "cluster": ValkeyCluster,
    "sentinel": ValkeySentinel,
}


@pytest_asyncio.fixture(loop_scope="module", params=["sqlite", *SERVERS])
async def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A store of each kind that several processes can share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/sessions.db"
        return
    try:
        server = SERVERS[request.param]()
    except ServerNotFound as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with server:
        yield server.url


async def test_threads_share_a_session_object(store_url: str) -> None:
    await run_program("tests.integration.threaded_program", store_url)


async def test_threads_share_a_session_object_in_memory() -> None:
    await run_program("tests.integration.threaded_program", "memory://")


async def test_a_program_forks_while_its_session_object_is_in_use(store_url: str) -> None:
    program = "tests.integration.forking_program"
    await run_program(program, *forking_program.IN_USE, SHARED_STORE=store_url)


@pytest.mark.parametrize("method", forking_program.START_METHODS)
async def test_processes_share_a_session_object(url: str, method: str) -> None:
    await run_program("tests.integration.forking_program", method, SHARED_STORE=url)


@pytest_asyncio.fixture(loop_scope="module")
async def client(server: ValkeyServer) -> AsyncIterator[Redis]:
    """A client of the application's own."""
    async with Redis.from_url(server.url) as client:
        yield client


async def test_an_application_s_client_is_refused_in_another_event_loop(client: Redis) -> None:
    await client.ping()  # it may be connected before the session is used
    session = RedisSession(client, session_id="loops")
    await session.add_items([{"role": "user", "content": "one"}])
    with pytest.raises(UsageError, match=r"another event loop.*RedisSession\.from_url"):
        await asyncio.to_thread(asyncio.run, session.get_items())
    assert len(await session.get_items()) == 1


@pytest.mark.parametrize("used", ["by a session", "by the application"])
async def test_it_is_refused_to_sessions_made_there(client: Redis, used: str) -> None:
    """One for each request, say: what is refused is the client, not one object made of it."""
    if used == "by a session":
        await RedisSession(client, session_id="here").add_items([{"role": "user", "content": "x"}])
    else:
        await client.ping()
    with pytest.raises(UsageError, match=r"another event loop.*RedisSession\.from_url"):
        await asyncio.to_thread(asyncio.run, RedisSession(client, session_id="loop").get_items())
    made = partial(RedisSession, client, session_id="fork")
    assert await asyncio.to_thread(_error_in_child, made, "was forked from") == 0
    assert await RedisSession(client, session_id="loop").get_items() == []


async def test_of_event_loops_side_by_side_one_gets_the_client(server: ValkeyServer) -> None:
    """The others would wait for its locks, and read its replies."""
    client, results = Redis.from_url(server.url), list[Any]()
    together = threading.Barrier(4)

    async def use(name: str) -> None:
        together.wait()
        for _ in range(20):
            await RedisSession(client, session_id=name).get_items()
        results.append("served")

    def run(name: str) -> None:
        try:
            asyncio.run(use(name))
        except UsageError:
            results.append("refused")

    threads = [asyncio.to_thread(run, f"loop {number}") for number in range(4)]
    await asyncio.gather(*threads)
    assert sorted(results) == ["refused", "refused", "refused", "served"]
    disconnect(client)


async def test_an_application_s_client_serves_the_next_event_loop_once_it_is_disconnected(
    server: ValkeyServer,
) -> None:
    session = RedisSession(Redis.from_url(server.url), session_id="one loop after another")

    async def use(disconnect: bool) -> None:
        await session.get_items()
        if disconnect:
            await session.client.aclose()

    def use_in_several_loops() -> None:
        for _ in range(2):
            asyncio.run(use(disconnect=True))
        asyncio.run(use(disconnect=False))
        with pytest.raises(UsageError, match=r"another event loop.*RedisSession\.from_url"):
            asyncio.run(use(disconnect=False))
        disconnect(session.client)

    await asyncio.to_thread(use_in_several_loops)


@asynccontextmanager
async def _client_of_one_server() -> AsyncIterator[Client]:
    async with ValkeyServer() as server, Redis.from_url(server.url) as client:
        yield client


@asynccontextmanager
async def _client_of_a_cluster() -> AsyncIterator[Client]:
    async with ValkeyCluster() as cluster, RedisCluster.from_url(cluster.node_url) as client:
        yield client


@asynccontextmanager
async def _client_of_sentinels() -> AsyncIterator[Client]:
    async with ValkeySentinel() as servers:
        sentinel = Sentinel(servers.addresses)  # type: ignore[no-untyped-call]  # redis-py's
        client: Redis = sentinel.master_for(servers.name)
        try:
            yield client
        finally:
            await close(client)


CLIENTS = {
    "one server": _client_of_one_server,
    "Cluster": _client_of_a_cluster,
    "Sentinel": _client_of_sentinels,
}


@pytest.mark.parametrize("made", CLIENTS.values(), ids=CLIENTS)
async def test_an_application_s_client_is_refused_in_a_forked_child(
    made: Callable[[], AbstractAsyncContextManager[Client]],
) -> None:
    async with made() as client:
        session = RedisSession(client, session_id="forks")
        await session.add_items([{"role": "user", "content": "one"}])
        assert await asyncio.to_thread(_error_in_child, lambda: session, "before a fork") == 0
        assert len(await session.get_items()) == 1


async def test_connections_to_sentinels_are_connections() -> None:
    """redis-py leaves them open: a child and its parent would read each other's answers."""
    async with _client_of_sentinels() as client:
        session = RedisSession(client, session_id="forks")
        await session.add_items([{"role": "user", "content": "one"}])
        await client.aclose()
        assert await asyncio.to_thread(_error_in_child, lambda: session, "before a fork") == 0


def _error_in_child(session: Callable[[], RedisSession], says: str) -> int:
    """0 if a forked child gets a UsageError that says this, and what to do."""
    pid = os.fork()
    if pid == 0:
        try:
            Runner.run_sync(forking_program.say("x"), "x", session=session())
        except UsageError as error:
            os._exit(0 if says in str(error) and "from_url" in str(error) else 2)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)
