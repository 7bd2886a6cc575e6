"""Turns that are cancelled from elsewhere, by their worker or by force."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from agents import function_tool

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
from tests.integration.fault_lab import LONG, HookRecorder, message, other_tasks
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, says
from turnwise.errors import AlreadyCommitted, ApprovalPending, TurnCancelled, UsageError
from turnwise.hooks import TurnCancelledEvent as Ended
from turnwise.session import Session
from turnwise.turns.cancelled import request_payload
from turnwise.types import Cancellation

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("how", WAYS)
async def test_a_run_is_cancelled(
    sessions: Sessions, owner: Session, other: Session, recorder: HookRecorder, how: str
) -> None:
    name, held = sessions.new_id(), Held()
    await owner.bind(name).add_items([message("before")])
    task = await held_run(owner, name, held, how)
    found = await other.cancel(name, reason="asked for")
    assert (found.outcome, found.turn_id, found.items) == ("cancelled", "t", 0)
    assert (found.running_tools, found.reason) == ((), "asked for")
    error = await stopped(task)
    assert (error.kept, error.running_tools, error.reason) == (False, (), "asked for")
    assert "cancelled on request (asked for)" in str(error)
    assert held.cancelled
    assert await other.bind(name).get_items() == [message("before")]
    ended = [event for event in recorder.events if event.turn_id == "t"][-1]
    assert isinstance(ended, Ended)
    assert ended.reason == "asked for"
    again = asyncio.create_task(run(other, name, agent(says("again")), how))
    error = await stopped(again)
    assert (error.kept, error.reason) == (False, "asked for")
    assert "(asked for)" in str(error)
    found = await other.cancel(name, "t", reason="too late")
    assert (found.outcome, found.reason) == ("dropped", "asked for")
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
    with pytest.raises(TurnCancelled) as caught:
        async with owner.turn(name, turn_id="t") as turn:
            await turn.add_items([message("one")])
            turn.turn._let_lease_go()
            found = await other.cancel(name, timeout=0.05, reason="too slow")
            forced = Cancellation("forced", "t", owner.runtime.name, 0, None, "too slow")
            assert found == forced
    assert caught.value.reason == "too slow"
    assert await other.bind(name).get_items() == []
    again = asyncio.create_task(run(other, name, agent(says("again"))))
    assert (await stopped(again)).reason == "too slow"


async def test_the_first_reason_stays(sessions: Sessions, recorder: HookRecorder) -> None:
    """Whatever comes later, from whomever; none is none."""
    name, other = sessions.new_id(), sessions.worker(hooks=(recorder,))
    for turn_id, reasons in (("t", ["", "first", "second"]), ("u", [None, "", None])):
        with pytest.raises(TurnCancelled) as caught:
            async with sessions.worker().turn(name, turn_id=turn_id) as turn:
                turn.turn._let_lease_go()
                for reason in reasons[:2]:
                    await other.runtime.store.cancel(name, reason=request_payload(reason or None))
                await other.cancel(name, timeout=0.0, reason=reasons[2])
        stays = reasons[1] or None
        assert caught.value.reason == stays
        assert (await other.status(name, turn_id)).reason == stays
        ended = recorder.events[-1]
        assert isinstance(ended, Ended)
        assert (ended.turn_id, ended.reason) == (turn_id, stays or "")


@pytest.mark.parametrize("reason", ["\u00e9" * 501, "\ud800", 5])
async def test_a_reason_that_is_none(sessions: Sessions, owner: Session, reason: Any) -> None:
    name = sessions.new_id()
    async with owner.turn(name, turn_id="t"):
        with pytest.raises(UsageError, match="at most 1000 bytes"):
            await owner.cancel(name, reason=reason)
    assert (await owner.status(name, "t")).state == "committed"


async def test_the_longest_reason(sessions: Sessions, owner: Session, other: Session) -> None:
    name, reason = sessions.new_id(), '"\\\n\x00\u2713' * 142
    with pytest.raises(TurnCancelled) as caught:
        async with owner.turn(name, turn_id="t") as turn:
            await other.cancel(name, reason=reason)
            await turn.get_items()
    assert caught.value.reason == reason
    assert (await other.status(name, "t")).reason == reason


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


async def test_a_parked_turn_is_dropped(sessions: Sessions, owner: Session, other: Session) -> None:
    name, held = sessions.new_id(), Held()
    asks = function_tool(held.hold, needs_approval=True)
    result = await run(owner, name, agent(calls("hold"), tools=[asks]))
    assert result.interruptions
    with pytest.raises(ApprovalPending):
        async with other.turn(name, busy="interrupt"):
            pass
    dropped = Cancellation("dropped", "t", owner.runtime.name, reason="no answer")
    assert await other.cancel(name, reason="no answer") == dropped
    assert (await other.status(name, "t")).reason == "no answer"
    async with other.turn(name, busy="reject") as turn:
        assert await turn.get_items() == []
    assert not held.entered.is_set()


async def test_a_background_turn_is_cancelled(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name, held = sessions.new_id(), Held()
    receipt = await other.submit(name, "Hi", agent="agent", turn_id="m")
    desk = agent(*STEPS, tools=tools(held))
    draining = asyncio.create_task(owner.drain(name, desk))
    await asyncio.wait_for(held.entered.wait(), LONG)
    found = await other.cancel(name, "m", reason="asked for")
    assert (found.outcome, found.running_tools) == ("cancelled", ())
    await asyncio.wait_for(draining, LONG)
    assert held.cancelled
    assert await other.bind(name).get_items() == []
    status = await receipt.status()
    assert (status.state, status.reason) == ("cancelled", "asked for")
    with pytest.raises(TurnCancelled, match="asked for") as caught:
        await receipt.result(LONG)
    assert caught.value.reason == "asked for"


async def test_a_queued_message_is_dropped(
    sessions: Sessions, owner: Session, other: Session
) -> None:
    name = sessions.new_id()
    receipt = await owner.submit(name, "Hi", agent="agent", turn_id="m")
    dropped = Cancellation("dropped", "m", reason="asked for")
    assert await other.cancel(name, "m", reason="asked for") == dropped
    assert (await receipt.status()).reason == "asked for"
    with pytest.raises(TurnCancelled) as caught:
        await receipt.result(LONG)
    assert caught.value.reason == "asked for"
    with pytest.raises(TurnCancelled) as caught:
        async with owner.turn(name, turn_id="m"):
            pass
    assert caught.value.reason == "asked for"
