"""One session object in one event loop after another, as a program with `run_sync` has them."""

from __future__ import annotations

import asyncio
import gc

import pytest
from redis.asyncio import Redis

from tests.integration.fault_lab import LONG
from tests.scripted import agent, says
from turnwise import RedisSession, Runner
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until
from turnwise.turns import acquire


def test_who_waits_is_woken_in_a_second_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """What listened in the first loop stands still with it."""
    monkeypatch.setattr(acquire, "_POLL_INTERVAL", 10 * LONG)
    first, second = asyncio.new_event_loop(), asyncio.new_event_loop()
    server = ValkeyServer()
    first.run_until_complete(server.__aenter__())
    session = RedisSession.from_url(server.url, session_id="s", lease=10 * LONG)
    held = asyncio.Event()

    async def turn() -> None:
        await Runner.run(agent(says("one")), "hi", session=session)

    async def hold() -> None:
        async with session.turn():
            held.set()
            while (info := await session.info()) is None or info.queued == 0:
                await asyncio.sleep(0.01)

    async def hold_and_wait() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(hold())
            await held.wait()
            await Runner.run(agent(says("two")), "hi", session=session, timeout=LONG)

    try:
        first.run_until_complete(turn())
        second.run_until_complete(hold_and_wait())
        second.run_until_complete(session.aclose())
        first.run_until_complete(asyncio.sleep(0))
    finally:
        first.run_until_complete(server.__aexit__(None, None, None))
        for loop in (second, first):
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.wait(tasks))
            loop.close()


def test_loops_that_close_leave_no_connection_open() -> None:
    """Neither at the server nor for the garbage collector, whose warnings are errors here."""

    async def use(session: RedisSession) -> None:
        await Runner.run(agent(says("one")), "hi", session=session)
        async with session.runtime.store.waiter("token"):
            pass

    with asyncio.Runner() as runner:
        server = ValkeyServer()
        runner.run(server.__aenter__())
        try:
            session = RedisSession.from_url(server.url, session_id="s")
            for _ in range(3):
                asyncio.run(use(session))
                gc.collect()
            asyncio.run(session.aclose())
            gc.collect()
            runner.run(_until_alone(server))
        finally:
            runner.run(server.__aexit__(None, None, None))


async def _until_alone(server: ValkeyServer) -> None:
    """Wait until only this client is connected."""
    async with Redis.from_url(server.url) as client:

        async def is_alone() -> bool:
            return len(await client.client_list()) == 1

        await until(is_alone, LONG, "the server has no other connection")
