"""All five busy policies of runs, blocks and messages, against a turn of another process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import agents
import pytest
import pytest_asyncio

from tests.integration.cancel_owner import Owner
from tests.integration.fault_lab import LONG
from tests.integration.forked import Forks, script
from tests.scripted import agent, outline, says
from turnwise import Runner, connect
from turnwise.errors import BusyTimeout, SessionBusy, TurnCancelled
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.turns.cancelled import INTERRUPTED

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = ["Hi", "call c0", "output c0: quick is done", "call c1", "call c2"]
KEPT += ["output c1: quick is done", f"output c2: {INTERRUPTED}"]
DONE = ["on", "yes"]
RUNS = ["run", "streamed", "block"]

SENDER = """
import asyncio, sys
from tests.scripted import agent
from turnwise import Runner, connect

async def main(url, session_id):
    async with connect(url, session_id=session_id) as session:
        await Runner.run(agent(), "on", session=session, turn_id="sent", busy="enqueue")

asyncio.run(main(*sys.argv[1:]))
"""
"""A process that leaves its run with the queue; it has no model that could answer."""


@pytest_asyncio.fixture(loop_scope="module")
async def session(url: str, tmp_path: Path) -> AsyncIterator[Session]:
    async with connect(url, session_id=tmp_path.name) as session:
        yield session


@pytest_asyncio.fixture(loop_scope="module")
async def owner(forked: Forks, url: str, tmp_path: Path) -> Owner:
    """Another process, in the middle of its turn."""
    owner = Owner(forked, url, tmp_path)
    await owner.begin("waits")
    return owner


async def ask(session: Session, how: str, **given: Any) -> None:
    """Say "on", and be answered "yes"."""
    desk = agent(says("yes"))
    if how == "block":
        async with session.turn(**given) as turn:
            await agents.Runner.run(desk, "on", session=turn)
    elif how == "run":
        await Runner.run(desk, "on", session=session, **given)
    else:
        async for _ in Runner.run_streamed(desk, "on", session=session, **given).stream_events():
            pass


async def send(session: Session, busy: Any) -> Any:
    return await session.submit(None, "on", agent="agent", busy=busy)


async def until_queued(session: Session, count: int = 1) -> None:
    async def queued() -> bool:
        info = await session.info()
        return info is not None and info.queued == count

    await until(queued, LONG, f"{count} are in the queue")


async def history(session: Session) -> list[str]:
    return outline(await session.get_items())


async def test_rejected(owner: Owner, session: Session) -> None:
    for how in RUNS:
        with pytest.raises(SessionBusy) as caught:
            await ask(session, how, busy="reject")
        assert not isinstance(caught.value, BusyTimeout)
    with pytest.raises(SessionBusy):
        await send(session, "reject")
    assert (await session.cancel(turn_id="t")).outcome == "cancelled"
    assert await session.drain(None, agent()) == 0
    for how in RUNS:
        await ask(session, how, busy="reject")
    await send(session, "reject")
    assert await session.drain(None, agent(says("yes"))) == 1
    assert await history(session) == 4 * DONE


async def test_kept_waiting(owner: Owner, session: Session) -> None:
    for how in RUNS:
        with pytest.raises(BusyTimeout):
            await ask(session, how, busy="wait", timeout=0.05)
    waiting = [asyncio.create_task(ask(session, how, busy="wait")) for how in RUNS]
    await until_queued(session, 3)
    receipt = await send(session, "wait")
    assert (await receipt.status()).position == 3
    assert (await session.cancel(turn_id="t")).outcome == "cancelled"
    assert await session.drain(None, agent(says("yes"))) == 1
    await asyncio.wait_for(asyncio.gather(*waiting), LONG)
    assert await history(session) == 4 * DONE


async def test_enqueued(owner: Owner, session: Session) -> None:
    """A block begins by itself, a run is answered by whoever works on the queue."""
    waiting = []
    for how in RUNS:
        waiting.append(asyncio.create_task(ask(session, how, busy="enqueue", timeout=0)))
        await until_queued(session, len(waiting))
    await send(session, "enqueue")
    assert (await session.cancel(turn_id="t")).outcome == "cancelled"
    assert await session.drain(None, agent(says("yes"), says("yes"), says("yes"))) == 3
    await asyncio.wait_for(asyncio.gather(*waiting), LONG)
    assert await history(session) == 4 * DONE


@pytest.mark.parametrize("how", ["run", "block", "message"])
@pytest.mark.parametrize(("busy", "kept"), [("interrupt", KEPT), ("rollback", [])])
async def test_the_turn_is_ended(
    owner: Owner, session: Session, how: str, busy: Any, kept: list[str]
) -> None:
    if how == "message":
        receipt = await send(session, busy)
        assert await history(session) == kept
        assert await session.drain(None, agent(says("yes"))) == 1
        assert (await receipt.result(LONG)).final_output == "yes"
    else:
        await ask(session, how, busy=busy)
    assert await owner.ended() == ("TurnCancelled", 2)
    assert owner.reason.startswith("interrupted by turn " if kept else "rolled back by turn ")
    assert await history(session) == [*kept, *DONE]
    with pytest.raises(TurnCancelled):
        await Runner.run(agent(), "Hi", session=session, turn_id="t")
    assert (await session.status(None, "t")).reason == owner.reason


async def test_what_was_enqueued_outlives_its_process(
    owner: Owner, session: Session, forked: Forks, url: str
) -> None:
    """Its sender is killed; whoever asks again with its turn_id gets the answer."""
    assert session.session_id is not None
    sender = forked.start(script, SENDER, url, session.session_id, environment={})
    await until_queued(session)
    await sender.kill()
    assert (await session.status(None, "sent")).state == "queued"
    again = asyncio.create_task(
        Runner.run(agent(), "on", session=session, turn_id="sent", busy="enqueue")
    )
    assert (await session.cancel(turn_id="t")).outcome == "cancelled"
    assert await session.drain(None, agent(says("yes"))) == 1
    assert (await asyncio.wait_for(again, LONG)).final_output == "yes"
    assert await history(session) == DONE
