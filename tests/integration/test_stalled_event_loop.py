"""A stalled event loop, and heartbeats that do not arrive: the lease is lost meanwhile."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest
from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from tests.integration.fault_lab import (
    LONG,
    QUIET,
    SHORT,
    AnySession,
    assert_free,
    message,
    other_tasks,
    patience,
    session_on,
)
from turnwise import RedisSession, Runner
from turnwise.errors import (
    LeaseLost,
    StoreUnavailable,
)
from turnwise.testing.proxy import FaultProxy
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


def take_over(kind: str, folder: Path, server: ValkeyServer) -> None:
    """Another worker takes the session, while this thread, its event loop with it, stands still."""

    async def turn() -> None:
        async with (
            session_on(kind, folder, server) as session,
            session.turn("user-1", timeout=LONG) as turn,
        ):
            await turn.add_items([message("theirs")])

    thread = threading.Thread(target=lambda: asyncio.run(turn()))
    thread.start()
    thread.join()


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
@pytest.mark.parametrize("reads", [True, False])
async def test_a_stalled_event_loop(
    hasty: AnySession, kind: str, tmp_path: Path, server: ValkeyServer, reads: bool
) -> None:
    reached = False
    with pytest.raises(LeaseLost):
        async with hasty.turn("user-1", turn_id="turn") as turn:
            await turn.add_items([message("mine")])
            take_over(kind, tmp_path, server)
            if reads:
                await turn.get_items()
                reached = True
    assert not reached
    assert await hasty.bind("user-1").get_items() == [message("zero"), message("theirs")]
    await assert_free(hasty, "user-1")


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
@pytest.mark.parametrize("streamed", [True, False])
async def test_a_stalled_run(
    kind: str, tmp_path: Path, server: ValkeyServer, streamed: bool
) -> None:
    """It is stopped before its next model call.

    Its lease leaves a busy machine's store the time to answer that somebody else has the turn.
    """

    @function_tool
    async def stall() -> str:
        """Hold up everybody."""
        take_over(kind, tmp_path, server)
        return "done"

    model = ScriptedModel([[function_call("stall", {}, call_id="1")], [assistant_message("Ok.")]])
    agent = Agent(name="Slow", tools=[stall], model=model)
    async with session_on(kind, tmp_path, server, lease=4 * SHORT) as session:
        await session.bind("user-1").add_items([message("zero")])
        with pytest.raises(LeaseLost):
            if streamed:
                result = Runner.run_streamed(
                    agent, "Hi", session=session, session_id="user-1", run_config=QUIET
                )
                async for _ in result.stream_events():
                    pass
            else:
                await Runner.run(
                    agent, "Hi", session=session, session_id="user-1", run_config=QUIET
                )
        assert len(model.calls) == 1
        assert await session.bind("user-1").get_items() == [message("zero"), message("theirs")]


@pytest.mark.parametrize("kind", ["sqlite", "valkey"])
async def test_a_stall_that_nobody_used(hasty: AnySession, kind: str) -> None:
    """The lease ran out, but is still ours: the turn goes on."""

    def stand_still() -> None:
        over = threading.Event()
        threading.Timer(SHORT + 0.1, over.set).start()
        over.wait()

    async with hasty.turn("user-1") as turn:
        await turn.add_items([message("one")])
        stand_still()
        assert await turn.get_items() == [message("zero"), message("one")]
        stand_still()
        await asyncio.sleep(0)
    assert await hasty.bind("user-1").get_items() == [message("zero"), message("one")]


@pytest.mark.parametrize("resends", ["never", "for a while", "by the client's own retries"])
async def test_heartbeats_that_do_not_arrive(
    server: ValkeyServer, tmp_path: Path, resends: str
) -> None:
    """Noticed when the lease is over, however long the client goes on trying."""
    async with (
        FaultProxy.before(server.url) as proxy,
        Redis.from_url(proxy.url) as client,
        RedisSession(client, key_prefix=f"{tmp_path.name}:", lease=SHORT) as cut_off,
        session_on("valkey", tmp_path, server) as another,
    ):

        async def take_over_when_free() -> None:
            async with another.turn("user-1", timeout=LONG) as turn:
                await turn.add_items([message("theirs")])

        if resends != "by the client's own retries":
            client.set_retry(Retry(NoBackoff(), 0))
        if resends == "never":
            patience(cut_off, 0.0)
        with pytest.raises(StoreUnavailable, match=r"session 'user-1'.*lease of turn 'turn'"):
            async with cut_off.turn("user-1", turn_id="turn") as turn:
                await turn.add_items([message("mine")])
                proxy.pause()
                waiting = asyncio.create_task(take_over_when_free())
                await asyncio.Event().wait()
        await waiting
        assert await another.bind("user-1").get_items() == [message("theirs")]
        proxy.resume()
        await assert_free(cut_off, "user-1")
        assert await cut_off.bind("user-1").get_items() == [message("theirs")]
    assert not other_tasks()
