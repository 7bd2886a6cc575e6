"""Callers of a busy session wait in its queue, up to their timeout, or are refused."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from redis.asyncio import BlockingConnectionPool, Redis

from tests.integration.fault_lab import (
    LONG,
    AnySession,
    assert_free,
    begun_by_another_task,
    message,
    other_tasks,
    session_on,
    until_queued,
)
from turnwise import RedisSession
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    QueueFull,
    SessionBusy,
)
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_waiting_too_long(session: AnySession, another: AnySession) -> None:
    async with session.turn("user-1", turn_id="long") as turn:
        await turn.add_items([message("one")])
        pattern = r"session 'user-1': still busy after 0.1 s: turn 'long' runs on worker 'one'"
        with pytest.raises(BusyTimeout, match=pattern) as caught:
            await begun_by_another_task(another.turn("user-1", turn_id="next", timeout=0.1))
        assert isinstance(caught.value, TimeoutError)
        with pytest.raises(BusyTimeout):
            await begun_by_another_task(another.turn("user-1", timeout=0))
        info = await session.info("user-1")
        assert info is not None
        assert info.queued == 0
    assert await session.bind("user-1").get_items() == [message("one")]
    await assert_free(session, "user-1")


async def test_waiting_with_a_pool_of_one_connection(server: ValkeyServer, tmp_path: Path) -> None:
    """To hear wake-ups takes none of the application's connections."""

    pool = BlockingConnectionPool.from_url(server.url, max_connections=1, timeout=LONG)
    async with Redis.from_pool(pool) as client:
        pooled = RedisSession(client, key_prefix=f"{tmp_path.name}:")

        async def turn(number: int) -> None:
            async with pooled.turn("user-1", timeout=LONG) as turn:
                await turn.add_items([message(str(number))])
                if number == 0:
                    await until_queued(pooled, "user-1", 2)

        await asyncio.gather(*(turn(number) for number in range(3)))
        assert len(await pooled.bind("user-1").get_items()) == 3
        await pooled.aclose()
    assert not other_tasks()


async def test_not_waiting(session: AnySession, another: AnySession) -> None:
    async with session.turn("user-1", turn_id="long"):
        pattern = re.escape("turn 'long' runs on worker 'one'; its lease expires in 1")
        with pytest.raises(SessionBusy, match=pattern) as caught:
            await another.turn("user-1", busy="reject").__aenter__()
        assert not isinstance(caught.value, BusyTimeout)
    await assert_free(session, "user-1")


async def test_the_same_turn_sent_twice_at_once(session: AnySession, another: AnySession) -> None:
    """As by a user's second click: one runs, the other gets what it added."""

    async def send(by: AnySession) -> None:
        async with by.turn("user-1", turn_id="click", timeout=LONG) as turn:
            await turn.add_items([message("one")])

    results = await asyncio.gather(send(session), send(another), return_exceptions=True)
    caught = [result for result in results if result is not None]
    assert [type(error) for error in caught] == [AlreadyCommitted]
    assert isinstance(caught[0], AlreadyCommitted)
    assert caught[0].items == [message("one")]
    assert await session.bind("user-1").get_items() == [message("one")]
    await assert_free(session, "user-1")


async def test_a_full_queue(server: ValkeyServer, tmp_path: Path, kind: str) -> None:
    async with session_on(kind, tmp_path, server, max_queue=1) as crowded:

        async def wait() -> None:
            async with crowded.turn("user-1", timeout=LONG) as turn:
                await turn.add_items([message("second")])

        async with crowded.turn("user-1") as turn:
            await turn.add_items([message("first")])
            waiting = asyncio.create_task(wait())
            await until_queued(crowded, "user-1")
            with pytest.raises(QueueFull, match=r"session 'user-1': its queue is full: 1 messages"):
                await begun_by_another_task(crowded.turn("user-1"))
            await until_queued(crowded, "user-1")
        await waiting
        history = await crowded.bind("user-1").get_items()
        assert history == [message("first"), message("second")]
        await assert_free(crowded, "user-1")
    assert not other_tasks()
