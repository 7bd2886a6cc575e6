"""A turn is ended from outside: it is not committed, and its worker gets the reason."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from agents import Agent
from agents.testing import ScriptedModel, assistant_message

from tests.integration.fault_lab import (
    LONG,
    QUIET,
    AnySession,
    assert_free,
    connections_in_use,
    message,
    opened,
    session_on,
)
from turnwise import MemorySession, RedisSession, Runner
from turnwise.errors import (
    LeaseLost,
    SessionGone,
    TurnCancelled,
    UsageError,
)
from turnwise.runner.streaming import TurnEnd
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_deleted_in_mid_turn(session: AnySession, another: AnySession) -> None:
    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(SessionGone, match=r"session 'user-1'.*turn 'turn'.*Run it again") as caught:
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            assert await another.delete("user-1")
    assert caught.value.session_id == "user-1"
    assert await session.info("user-1") is None
    await assert_free(session, "user-1")


async def test_deleted_and_made_anew_in_mid_turn(session: AnySession, another: AnySession) -> None:
    async def made_anew() -> None:
        assert await another.delete("user-1")
        await another.bind("user-1").add_items([message("anew")])

    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(SessionGone, match="session 'user-1'"):
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            anew = asyncio.create_task(made_anew())
            await asyncio.shield(anew)  # its worker may learn of it before it asks
    await anew
    assert await session.bind("user-1").get_items() == [message("anew")]
    await assert_free(session, "user-1")


async def test_made_anew_and_held_by_another(session: AnySession, another: AnySession) -> None:
    theirs = another.turn("user-1", turn_id="turn")

    async def begun_anew() -> None:
        assert await another.delete("user-1")
        begun = await theirs.__aenter__()
        await begun.add_items([message("anew")])

    async with another.turn("spare"):
        pass
    with pytest.raises(SessionGone):
        async with session.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            anew = asyncio.create_task(begun_anew())
            await asyncio.shield(anew)  # its worker may learn of it before it asks
    await anew
    await theirs.__aexit__(None, None, None)
    assert await session.bind("user-1").get_items() == [message("anew")]


async def test_expired_in_mid_turn(session: AnySession, another: AnySession) -> None:
    async def is_gone() -> bool:
        return await another.info("user-1") is None

    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(SessionGone):
        async with session.turn("user-1") as turn:
            await turn.add_items([message("two")])
            assert await another.expire("user-1", 0.02)
            await until(is_gone, LONG, "it expired")
    assert await session.info("user-1") is None
    await assert_free(session, "user-1")


async def test_expired_by_the_application_s_own_client(
    server: ValkeyServer, tmp_path: Path
) -> None:
    async with session_on("valkey", tmp_path, server) as session:
        assert isinstance(session, RedisSession)

        async def is_gone() -> bool:
            return not await session.client.exists(session.key("user-1"))

        await session.bind("user-1").add_items([message("one")])
        with pytest.raises(SessionGone):
            async with session.turn("user-1") as turn:
                await turn.add_items([message("two")])
                await session.client.pexpire(session.key("user-1"), 20)
                await until(is_gone, LONG, "it expired")
        assert not await session.client.exists(session.key("user-1"))


async def test_a_heartbeat_finds_it_deleted(hasty: AnySession, another: AnySession) -> None:
    """The block is interrupted wherever it is; the task goes on as if nobody had cancelled it."""
    task = asyncio.current_task()
    assert task is not None
    keeper = hasty if isinstance(hasty, MemorySession) else another
    with pytest.raises(SessionGone) as caught:
        async with hasty.turn("user-1"):
            assert await keeper.delete("user-1")
            await asyncio.Event().wait()
    assert isinstance(caught.value.__cause__, asyncio.CancelledError)
    assert task.cancelling() == 0
    async with asyncio.timeout(LONG):
        await assert_free(hasty, "user-1")


async def test_its_worker_learns_of_the_deletion(
    server: ValkeyServer, tmp_path: Path, kind: str, another: AnySession
) -> None:
    """Long before its lease is to be renewed."""
    async with session_on(kind, tmp_path, server, lease=20 * LONG) as session:
        await session.bind("user-1").add_items([message("zero")])
        keeper = session if isinstance(session, MemorySession) else another
        with pytest.raises(SessionGone):
            async with asyncio.timeout(LONG), session.turn("user-1"):
                assert await asyncio.create_task(keeper.delete("user-1"))
                await asyncio.Event().wait()


async def test_a_block_that_catches_the_interruption(
    hasty: AnySession, another: AnySession
) -> None:
    keeper = hasty if isinstance(hasty, MemorySession) else another
    task = asyncio.current_task()
    assert task is not None
    with pytest.raises(SessionGone):
        async with hasty.turn("user-1") as turn:
            assert await keeper.delete("user-1")
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await turn.add_items([message("too late")])
    assert task.cancelling() == 0
    assert await hasty.info("user-1") is None

    with pytest.raises(ZeroDivisionError):
        async with hasty.turn("user-1"):
            assert await keeper.runtime.store.delete("user-1")  # no audit meanwhile
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ZeroDivisionError from None
    assert task.cancelling() == 0


async def test_somebody_else_cancels_it_too(hasty: AnySession, another: AnySession) -> None:
    """A real cancellation is never turned into an error of ours."""
    keeper = hasty if isinstance(hasty, MemorySession) else another

    async def turn() -> None:
        async with hasty.turn("user-1"):
            try:
                await asyncio.Event().wait()
            finally:
                task.cancel()

    task = asyncio.create_task(turn())

    async def begun() -> bool:
        return await opened(keeper, "user-1")

    await until(begun, LONG, "the turn had begun")
    assert await keeper.delete("user-1")
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_asked_to_stop(hasty: AnySession, kind: str) -> None:
    with pytest.raises(TurnCancelled, match="turn 'turn' was cancelled on request"):
        async with hasty.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("two")])
            await hasty.runtime.store.cancel("user-1", "turn")
            await asyncio.Event().wait()
    assert await hasty.bind("user-1").get_items() == [message("zero")]
    await assert_free(hasty, "user-1")


async def test_a_worker_that_died(hasty: AnySession, kind: str) -> None:
    """Its turn is forgotten when the lease is over; should it live on, it can commit nothing."""
    with pytest.raises(LeaseLost, match=r"session 'user-1'.*turn 'dead'.*same turn_id") as caught:
        async with hasty.turn("user-1", turn_id="dead") as dead:
            await dead.add_items([message("never")])
            dead.turn.lease.stop()
            async with hasty.turn("user-1", turn_id="next", timeout=LONG) as turn:
                await turn.add_items([message("next")])
    assert caught.value.session_id == "user-1"
    assert await hasty.bind("user-1").get_items() == [message("zero"), message("next")]
    await assert_free(hasty, "user-1")


async def test_the_same_turn_is_taken_over(hasty: AnySession) -> None:
    with pytest.raises(LeaseLost):
        async with hasty.turn("user-1", turn_id="turn") as dead:
            await dead.add_items([message("never")])
            dead.turn.lease.stop()
            async with hasty.turn("user-1", turn_id="turn", timeout=LONG) as turn:
                assert (dead.attempt, turn.attempt) == (1, 2)
                await turn.add_items([message("once")])
    assert await hasty.bind("user-1").get_items() == [message("zero"), message("once")]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, asyncio.CancelledError])
@pytest.mark.parametrize("on_error", ["rollback", "keep"])
async def test_an_exception_in_the_block(
    session: AnySession, error: type[BaseException], on_error: Any
) -> None:
    await session.bind("user-1").add_items([message("one")])
    with pytest.raises(error):
        async with session.turn("user-1", on_error=on_error) as turn:
            await turn.add_items([message("two")])
            raise error
    kept = on_error == "keep" and issubclass(error, Exception)
    expected = [message("one"), message("two")] if kept else [message("one")]
    assert await session.bind("user-1").get_items() == expected
    await assert_free(session, "user-1")
    assert connections_in_use(session) == 0


async def test_a_stream_s_turn_ends_whatever_happens(
    session: AnySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would be renewed for ever otherwise."""

    async def fail(turn_end: TurnEnd) -> None:
        await failure(turn_end)
        raise ZeroDivisionError

    failure = TurnEnd._failure
    monkeypatch.setattr(TurnEnd, "_failure", fail)
    agent = Agent(name="Echo", model=ScriptedModel([[assistant_message("Hello.")]]))
    result = Runner.run_streamed(
        agent, "Hi", session=session, session_id="user-1", run_config=QUIET
    )
    with pytest.raises(ZeroDivisionError):
        async for _ in result.stream_events():
            pass
    await assert_free(session, "user-1")
    assert await session.bind("user-1").get_items() == []


async def test_a_turn_that_has_ended(session: AnySession) -> None:
    async with session.turn("user-1") as turn:
        await turn.add_items([message("one")])
    calls: list[Callable[[], Awaitable[Any]]] = [
        turn.get_items,
        turn.pop_item,
        turn.clear_session,
        partial(turn.add_items, [message("two")]),
    ]
    for call in calls:
        with pytest.raises(UsageError, match=r"session 'user-1'.*has ended"):
            await call()
    assert await session.bind("user-1").get_items() == [message("one")]
