"""Turns that are ended from elsewhere: asked to, or by force."""

from __future__ import annotations

import asyncio
import threading

import pytest
from agents import function_tool

from tests.integration.bad_days import LONG, Told, message, other_tasks
from tests.integration.cancel_lab import (
    STEPS,
    WAYS,
    Held,
    held_run,
    named,
    run,
    stopped,
    tools,
)
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, says
from turnwise.errors import AlreadyCommitted, SessionWaiting, TurnCancelled
from turnwise.hooks import TurnCancelled as Ended
from turnwise.session import Session
from turnwise.types import Cancellation

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_is_cancelled(
    sessions: Sessions, owner: Session, other: Session, told: Told, how: str
) -> None:
    name, held = sessions.new_id(), Held()
    await owner.bind(name).add_items([message("before")])
    task = await held_run(owner, name, held, how)
    found = await other.cancel(name, reason="asked for")
    assert (found.outcome, found.turn_id, found.items) == ("cancelled", "t", 0)
    assert (found.running_tools, found.reason) == ((), "asked for")
    error = await stopped(task)
    assert (error.kept, error.running_tools) == (False, ())
    assert held.cancelled
    assert await other.bind(name).get_items() == [message("before")]
    assert [type(event) for event in told.events if event.turn_id == "t"][-1] is Ended
    again = asyncio.create_task(run(other, name, agent(says("again")), how))
    assert not (await stopped(again)).kept
    assert (await other.cancel(name, "t")).outcome == "dropped"
    assert (await other.cancel(name)).outcome == "absent"


async def test_a_tool_that_resists_is_named(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, entered, over, late = sessions.new_id(), asyncio.Event(), asyncio.Event(), list[str]()

    async def resist() -> str:
        entered.set()
        while not over.is_set():
            try:
                await over.wait()
            except asyncio.CancelledError:
                continue
        late.append("late")
        return "late"

    desk = agent(calls("resist"), says("never"), tools=[function_tool(resist)])
    task = asyncio.create_task(run(owner, name, desk))
    await asyncio.wait_for(entered.wait(), LONG)
    found = await other.cancel(name)
    assert (found.outcome, found.running_tools) == ("cancelled", ("resist",))
    over.set()
    assert (await stopped(task)).running_tools == ("resist",)
    while not late or other_tasks() - named(other_tasks(), "turnwise"):
        await asyncio.sleep(0.01)
    assert await other.bind(name).get_items() == []
    again = asyncio.create_task(run(other, name, desk))
    assert (await stopped(again)).running_tools == ("resist",)


async def test_a_tool_in_a_thread_is_named(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, entered, over = sessions.new_id(), asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def block() -> str:
        loop.call_soon_threadsafe(entered.set)
        over.wait()
        return "late"

    desk = agent(calls("block"), says("never"), tools=[function_tool(block)])
    task = asyncio.create_task(run(owner, name, desk))
    await asyncio.wait_for(entered.wait(), LONG)
    try:
        found = await other.cancel(name)
        assert (found.outcome, found.running_tools) == ("cancelled", ("block",))
        assert (await stopped(task)).running_tools == ("block",)
    finally:
        over.set()


async def test_a_block_that_resists_is_ended_all_the_same(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, begun, over = sessions.new_id(), asyncio.Event(), asyncio.Event()

    async def resist() -> None:
        async with owner.turn(name, turn_id="t") as turn:
            await turn.add_items([message("one")])
            begun.set()
            while not over.is_set():
                try:
                    await over.wait()
                except asyncio.CancelledError:
                    continue

    task = asyncio.create_task(resist())
    await asyncio.wait_for(begun.wait(), LONG)
    assert (await other.cancel(name)).outcome == "cancelled"
    over.set()
    await stopped(task)
    assert await other.bind(name).get_items() == []


async def test_an_owner_that_does_not_answer(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    """As if its event loop stood still: it ends without it, which commits nothing."""
    name = sessions.new_id()
    with pytest.raises(TurnCancelled):
        async with owner.turn(name, turn_id="t") as turn:
            await turn.add_items([message("one")])
            turn.turn._hold_no_more()
            found = await other.cancel(name, timeout=0.05)
            assert found == Cancellation("forced", "t", owner.worker.name, running_tools=None)
    assert await other.bind(name).get_items() == []
    again = asyncio.create_task(run(other, name, agent(says("again"))))
    await stopped(again)


async def test_what_cannot_be_cancelled(sessions: Sessions, owner: Session, other: Session) -> None:
    name = sessions.new_id()
    assert await other.cancel(name) == Cancellation("absent")
    assert await other.cancel(name, "t") == Cancellation("absent", "t")
    await run(owner, name, agent(says("done")))
    assert await other.cancel(name) == Cancellation("absent")
    assert await other.cancel(name, "t") == Cancellation("committed", "t", items=2)
    async with owner.turn(name, turn_id="u"):
        assert (await other.cancel(name, "t")).outcome == "committed"
    with pytest.raises(AlreadyCommitted):
        async with owner.turn(name, turn_id="u"):
            pass


async def test_a_turn_that_waits_for_an_approval_is_dropped(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    asks = function_tool(held.hold, needs_approval=True)
    result = await run(owner, name, agent(calls("hold"), tools=[asks]))
    assert result.interruptions
    with pytest.raises(SessionWaiting):
        async with other.turn(name, busy="interrupt"):
            pass
    assert await other.cancel(name) == Cancellation("dropped", "t", owner.worker.name)
    async with other.turn(name, busy="reject") as turn:
        assert await turn.get_items() == []
    assert not held.entered.is_set()


async def test_a_background_turn_is_cancelled(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    await other.submit(name, "Hi", agent="agent", turn_id="m")
    desk = agent(*STEPS, tools=tools(held))
    draining = asyncio.create_task(owner.drain(name, desk))
    await asyncio.wait_for(held.entered.wait(), LONG)
    found = await other.cancel(name, "m")
    assert (found.outcome, found.running_tools) == ("cancelled", ())
    await asyncio.wait_for(draining, LONG)
    assert held.cancelled
    assert await other.bind(name).get_items() == []
    assert (await other.status(name, "m")).state == "cancelled"


async def test_a_message_that_waits_is_dropped(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name = sessions.new_id()
    await owner.worker.store.submit(name, "m", b"message")
    assert await other.cancel(name, "m") == Cancellation("dropped", "m")
    with pytest.raises(TurnCancelled):
        async with owner.turn(name, turn_id="m"):
            pass
