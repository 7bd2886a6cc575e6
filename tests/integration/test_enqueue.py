"""`busy="enqueue"`: callers and inputs wait in the queue of a busy session without a timeout."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Agent, ModelSettings, RunConfig, RunHooks, RunState
from pydantic import BaseModel

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import echo, texts, working
from tests.integration.fault_lab import LONG, HookRecorder, message, until_queued
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import Script, says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.errors import (
    ApprovalPending,
    DeadLettered,
    InvalidItem,
    TurnCancelled,
    TurnIdReused,
    UsageError,
)
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


def never(name: str = "echo") -> Agent[Any]:
    """An agent of the sender's that must not be asked."""
    return Agent(name=name, model=Script())


async def run(session: Session, name: str, desk: Agent[Any], how: str, **given: Any) -> Any:
    options: dict[str, Any] = {"session": session, "session_id": name, "busy": "enqueue"} | given
    text = options.pop("input", "Hi")
    if how == "run":
        return await Runner.run(desk, text, **options)
    result = Runner.run_streamed(desk, text, **options)
    async for _ in result.stream_events():
        pass
    return result


WAYS = pytest.mark.parametrize("how", ["run", "streamed"])


@WAYS
async def test_a_free_session_is_answered_here(
    sessions: Sessions, sender: Session, recorder: HookRecorder, how: str
) -> None:
    name = sessions.new_id()
    assert (await run(sender, name, echo(), how)).final_output == "re: Hi"
    assert recorder.names == ["TurnBegunEvent", "TurnCommittedEvent"]


@WAYS
async def test_a_busy_one_is_answered_by_a_worker_in_order(
    sessions: Sessions, sender: Session, other: Session, recorder: HookRecorder, how: str
) -> None:
    name = sessions.new_id()
    async with other.turn(name) as turn:
        await turn.add_items([message("before")])
        first = asyncio.create_task(run(sender, name, never(), how, input="one", timeout=0))
        await until_queued(other, name)
        more = [message("and"), message("two")]
        second = asyncio.create_task(run(sender, name, never(), how, input=more, turn_id="t"))
        await until_queued(other, name, 2)
    assert await other.drain(name, echo()) == 2
    assert (await asyncio.wait_for(first, LONG)).final_output == "re: one"
    answered = await asyncio.wait_for(second, LONG)
    assert answered.final_output == "re: two"
    assert len(answered.raw_responses) == 1
    assert texts(await other.bind(name).get_items()) == [
        *("before", "one", "re: one", "and", "two", "re: two")
    ]
    assert recorder.names == ["TurnSubmittedEvent", "TurnSubmittedEvent"]
    again = await run(sender, name, never(), how, input=more, turn_id="t")
    assert again.final_output == "re: two"
    with pytest.raises(TurnIdReused):
        await run(sender, name, never(), how, input="three", turn_id="t")


class Reply(BaseModel):
    text: str


async def test_its_answer_is_of_the_senders_agent_and_types(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()
    mine = Agent(name="typed", model=Script(), output_type=Reply)
    theirs = Agent(name="typed", model=Script(says('{"text": "yes"}')), output_type=Reply)
    async with other.turn(name):
        asked = asyncio.create_task(run(sender, name, mine, "run"))
        await until_queued(other, name)
    await other.drain(name, theirs)
    result = await asyncio.wait_for(asked, LONG)
    assert result.final_output == Reply(text="yes")
    assert result.last_agent is mine


async def test_an_answer_is_streamed(sessions: Sessions, sender: Session, other: Session) -> None:
    name = sessions.new_id()
    async with other.turn(name):
        result = Runner.run_streamed(never(), "Hi", session=sender, session_id=name, busy="enqueue")
        await until_queued(other, name)
    await other.drain(name, echo())
    kinds = [event.type async for event in result.stream_events()]
    assert "raw_response_event" in kinds
    assert kinds[-1] == "run_item_stream_event"
    assert result.final_output == "re: Hi"


@WAYS
async def test_who_stops_waiting_leaves_it_where_it_is(
    sessions: Sessions, sender: Session, other: Session, how: str
) -> None:
    name = sessions.new_id()
    async with other.turn(name):
        first = asyncio.create_task(run(sender, name, never(), how, turn_id="t"))
        await until_queued(other, name)
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        await until_queued(other, name)
        again = asyncio.create_task(run(sender, name, never(), how, turn_id="t"))
        with pytest.raises(TurnIdReused):
            await run(sender, name, never(), how, turn_id="t", input="another")
    async with working(other, echo()):
        assert (await asyncio.wait_for(again, LONG)).final_output == "re: Hi"
    assert texts(await other.bind(name).get_items()) == ["Hi", "re: Hi"]


class Hooks(RunHooks[Any]):
    pass


CANNOT_TRAVEL: list[dict[str, Any]] = [
    {"context": {"user": 1}},
    {"max_turns": 3},
    {"max_turns": None},
    {"hooks": Hooks()},
    {"run_config": RunConfig(model_settings=ModelSettings())},
    {"run_config": {}},
    {"error_handlers": {}},
    {"previous_response_id": "r"},
    {"conversation_id": "c"},
    {"auto_previous_response_id": True},
    {"on_error": "keep"},
]


@pytest.mark.parametrize("given", CANNOT_TRAVEL, ids=lambda given: repr(given)[:30])
@WAYS
async def test_what_cannot_travel_is_refused_before_anything(
    sessions: Sessions, sender: Session, how: str, given: dict[str, Any]
) -> None:
    """On a free session as well: it does not depend on luck."""
    name = sessions.new_id()
    with pytest.raises(UsageError, match="busy='enqueue'"):
        await run(sender, name, never(), how, **given)
    assert await sender.info(name) is None


@WAYS
async def test_inputs_that_cannot_travel(sessions: Sessions, sender: Session, how: str) -> None:
    name = sessions.new_id()
    with pytest.raises(UsageError, match="the input is of the type int"):
        await run(sender, name, never(), how, input=5)
    with pytest.raises(InvalidItem):
        await run(sender, name, never(), how, input=[{"role": "user", "content": object()}])
    run_state: Any = object.__new__(RunState)
    with pytest.raises(UsageError, match="a RunState"):
        await run(sender, name, never(), how, input=run_state)
    assert await sender.info(name) is None


async def test_what_says_nothing_may_be_said(sessions: Sessions, sender: Session) -> None:
    nothing: dict[str, Any] = {"context": None, "hooks": None, "run_config": None, "max_turns": 10}
    given = nothing | {"auto_previous_response_id": False}
    result = await run(sender, sessions.new_id(), echo(), "run", **given)
    assert result.final_output == "re: Hi"


@WAYS
async def test_ends_without_an_answer(
    sessions: Sessions, sender: Session, other: Session, how: str
) -> None:
    async def fails(message: str) -> None:
        raise RuntimeError(message)

    name = sessions.new_id()
    async with other.turn(name):
        dead = asyncio.create_task(run(sender, name, never(), how, turn_id="dead"))
        await until_queued(other, name)
        called_off = asyncio.create_task(run(sender, name, never(), how, turn_id="off"))
        await until_queued(other, name, 2)
        await other.cancel(name, "off")
    await other.drain(name, echo(fails), Policy(max_attempts=1))
    with pytest.raises(DeadLettered) as caught:
        await asyncio.wait_for(dead, LONG)
    assert caught.value.reason == "RuntimeError: Hi"
    with pytest.raises(TurnCancelled):
        await asyncio.wait_for(called_off, LONG)


@WAYS
async def test_an_approval_is_not_waited_for(
    sessions: Sessions, sender: Session, other: Session, how: str
) -> None:
    """A turn that waits for one is in the way of messages behind it; its own sender is recorder."""
    desk = Clerk().agent(asks("pay"), says("over"), name="agent")
    name = sessions.new_id()
    async with other.turn(name):
        asked = asyncio.create_task(run(sender, name, never("agent"), how, turn_id="t"))
        await until_queued(other, name)
    await other.drain(name, desk)
    with pytest.raises(ApprovalPending):
        await asyncio.wait_for(asked, LONG)
    with pytest.raises(ApprovalPending):
        await run(sender, name, never("agent"), how, turn_id="t")
    behind = asyncio.create_task(run(sender, name, never(), how, input="behind"))
    await until_queued(other, name, 2)
    (pending,) = await other.pending_approvals(name)
    await Runner.resume(desk, session=other, session_id=name, approve=[pending.id])
    assert (await run(sender, name, never("agent"), how, turn_id="t")).final_output == "over"
    await other.drain(name, echo())
    assert (await asyncio.wait_for(behind, LONG)).final_output == "re: behind"


@WAYS
async def test_the_same_turn_sent_to_its_own_run_waits_for_that(
    sessions: Sessions, sender: Session, other: Session, how: str
) -> None:
    name, entered, go = sessions.new_id(), asyncio.Event(), asyncio.Event()

    async def held(_: str) -> None:
        entered.set()
        await go.wait()

    first = asyncio.create_task(run(other, name, echo(held), how, turn_id="t"))
    await asyncio.wait_for(entered.wait(), LONG)
    again = asyncio.create_task(run(sender, name, never(), how, turn_id="t"))
    await until_queued(other, name)
    go.set()
    assert (await asyncio.wait_for(first, LONG)).final_output == "re: Hi"
    assert (await asyncio.wait_for(again, LONG)).final_output == "re: Hi"


async def test_a_block_waits_in_the_queue_without_limit(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()

    async def block() -> None:
        async with sender.turn(name, busy="enqueue", timeout=0) as turn:
            await turn.add_items([message("behind")])

    async with other.turn(name) as turn:
        await turn.add_items([message("before")])
        waiting = asyncio.create_task(block())
        await until_queued(other, name)
    await asyncio.wait_for(waiting, LONG)
    assert texts(await other.bind(name).get_items()) == ["before", "behind"]
