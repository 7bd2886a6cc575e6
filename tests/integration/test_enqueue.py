"""Requests that wait in a session's queue for as long as it takes; messages that do not wait."""

from __future__ import annotations

import asyncio
from typing import Any

import agents
import pytest
from agents import Agent, ModelSettings, RunConfig, RunHooks, RunState
from pydantic import BaseModel

from tests.integration.background_lab import QUICK, echo, state, texts, working
from tests.integration.bad_days import LONG, Told, message
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import Script, agent, calls, says
from turnwise import Runner
from turnwise.background import Policy
from turnwise.errors import (
    DeadLettered,
    InvalidItem,
    SessionBusy,
    SessionWaiting,
    TurnCancelled,
    TurnIdReused,
    UsageError,
)
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.fixture
def sender(sessions: Sessions, told: Told) -> Session:
    """The sessions of the process that asks."""
    return sessions.worker(hooks=(told,))


@pytest.fixture
def other(sessions: Sessions) -> Session:
    """Those of the process that holds the session, or answers."""
    return sessions.worker()


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


async def left(session: Session, name: str, count: int = 1) -> None:
    async def there() -> bool:
        info = await session.info(name)
        return info is not None and info.queued == count

    await until(there, LONG, "it waits in the queue")


WAYS = pytest.mark.parametrize("how", ["run", "streamed"])


@WAYS
async def test_a_free_session_is_answered_here(
    sessions: Sessions, sender: Session, told: Told, how: str
) -> None:
    name = sessions.new_id()
    assert (await run(sender, name, echo(), how)).final_output == "re: Hi"
    assert told.names == ["TurnBegun", "TurnCommitted"]


@WAYS
async def test_a_busy_one_is_answered_by_a_worker_in_order(
    sessions: Sessions, sender: Session, other: Session, told: Told, how: str
) -> None:
    name = sessions.new_id()
    async with other.turn(name) as turn:
        await turn.add_items([message("before")])
        first = asyncio.create_task(run(sender, name, never(), how, input="one", timeout=0))
        await left(other, name)
        more = [message("and"), message("two")]
        second = asyncio.create_task(run(sender, name, never(), how, input=more, turn_id="t"))
        await left(other, name, 2)
    assert await other.drain(name, echo()) == 2
    assert (await asyncio.wait_for(first, LONG)).final_output == "re: one"
    answered = await asyncio.wait_for(second, LONG)
    assert answered.final_output == "re: two"
    assert len(answered.raw_responses) == 1
    assert texts(await other.bind(name).get_items()) == [
        *("before", "one", "re: one", "and", "two", "re: two")
    ]
    assert told.names == ["TurnSubmitted", "TurnSubmitted"]
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
        await left(other, name)
    await other.drain(name, theirs)
    result = await asyncio.wait_for(asked, LONG)
    assert result.final_output == Reply(text="yes")
    assert result.last_agent is mine


async def test_an_answer_is_streamed(sessions: Sessions, sender: Session, other: Session) -> None:
    name = sessions.new_id()
    async with other.turn(name):
        result = Runner.run_streamed(never(), "Hi", session=sender, session_id=name, busy="enqueue")
        await left(other, name)
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
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await run(sender, name, never(), how, turn_id="t")
        await left(other, name)
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
    {"input": 5},
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
        await left(other, name)
        called_off = asyncio.create_task(run(sender, name, never(), how, turn_id="off"))
        await left(other, name, 2)
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
    """A turn that waits for one is in the way of messages behind it; its own sender is told."""

    def asks() -> str:
        return "done"

    tool = agents.function_tool(asks, needs_approval=True)
    desk = agent(calls("asks"), says("over"), tools=[tool])
    name = sessions.new_id()
    async with other.turn(name):
        asked = asyncio.create_task(run(sender, name, never("agent"), how, turn_id="t"))
        await left(other, name)
    await other.drain(name, desk)
    with pytest.raises(SessionWaiting):
        await asyncio.wait_for(asked, LONG)
    with pytest.raises(SessionWaiting):
        await run(sender, name, never("agent"), how, turn_id="t")
    behind = asyncio.create_task(run(sender, name, never(), how, input="behind"))
    await left(other, name, 2)
    (pending,) = await other.pending(name)
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
    await left(other, name)
    go.set()
    assert (await asyncio.wait_for(first, LONG)).final_output == "re: Hi"
    assert (await asyncio.wait_for(again, LONG)).final_output == "re: Hi"


async def test_a_block_stands_in_line_without_limit(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()

    async def block() -> None:
        async with sender.turn(name, busy="enqueue", timeout=0) as turn:
            await turn.add_items([message("behind")])

    async with other.turn(name) as turn:
        await turn.add_items([message("before")])
        waiting = asyncio.create_task(block())
        await left(other, name)
    await asyncio.wait_for(waiting, LONG)
    assert texts(await other.bind(name).get_items()) == ["before", "behind"]


# Messages.


@pytest.mark.parametrize("busy", ["wait", "enqueue"])
async def test_a_message_waits(
    sessions: Sessions, sender: Session, other: Session, busy: Any
) -> None:
    name = sessions.new_id()
    async with other.turn(name):
        receipt = await sender.submit(name, "Hi", agent="echo", busy=busy)
        assert (await receipt.status()).state == "queued"
    await other.drain(name, echo())
    assert (await receipt.result(LONG)).final_output == "re: Hi"


async def test_a_message_is_refused(sessions: Sessions, sender: Session, other: Session) -> None:
    name = sessions.new_id()

    async def refused(error: type[Exception] = SessionBusy) -> None:
        with pytest.raises(error):
            await sender.submit(name, "no", agent="echo", turn_id="no", busy="reject")
        assert (await sender.status(name, "no")).state == "unknown"

    async with other.turn(name):
        await refused()
    receipt = await sender.submit(name, "Hi", agent="echo", turn_id="t", busy="reject")
    await refused()
    for _ in range(2):  # a message that was sent before is not
        assert await sender.submit(name, "Hi", agent="echo", turn_id="t", busy="reject") == receipt
        await other.drain(name, echo())
    with pytest.raises(TurnIdReused):
        await sender.submit(name, "Ho", agent="echo", turn_id="t", busy="reject")
    assert texts(await other.bind(name).get_items()) == ["Hi", "re: Hi"]
    assert (await receipt.result(LONG)).final_output == "re: Hi"


async def test_of_many_messages_that_are_not_to_wait_one_is_taken(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()
    sent = [
        each.submit(name, str(number), agent="echo", busy="reject")
        for number in range(20)
        for each in (sender, other)
    ]
    found = await asyncio.gather(*sent, return_exceptions=True)
    refused = [answer for answer in found if isinstance(answer, BaseException)]
    assert len(refused) == len(sent) - 1
    assert {type(answer) for answer in refused} == {SessionBusy}
    assert await other.drain(name, echo()) == 1


async def test_a_refused_message_leaves_nothing(sessions: Sessions, sender: Session) -> None:
    name = sessions.new_id()
    with pytest.raises(InvalidItem):
        await sender.submit(name, "Hi", agent="echo", metadata={"x": object()}, busy="reject")
    assert await sender.info(name) is None
    with pytest.raises(UsageError, match="busy='never'"):
        await sender.submit(name, "Hi", agent="echo", busy="never")  # type: ignore[arg-type]  # wrong
    receipt = await sender.submit(name, "Hi", agent="echo", busy="reject")
    info = await sender.info(name)
    assert info is not None
    assert (info.open_turn, info.queued) == (None, 1)
    await receipt.worker.store.delete(name)


@pytest.mark.parametrize(("busy", "kept"), [("interrupt", ["one", "Hi"]), ("rollback", ["Hi"])])
async def test_a_message_ends_the_turn_that_runs(
    sessions: Sessions, sender: Session, other: Session, busy: Any, kept: list[str]
) -> None:
    """And only that: those that wait already stay before it."""
    name, entered = sessions.new_id(), asyncio.Event()

    async def run_on() -> None:
        async with other.turn(name, turn_id="running") as turn:
            await turn.add_items([message("one")])
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(run_on())
    await asyncio.wait_for(entered.wait(), LONG)
    before = await sender.submit(name, "before", agent="echo")
    receipt = await sender.submit(name, "Hi", agent="echo", turn_id="t", busy=busy)
    with pytest.raises(TurnCancelled):
        await asyncio.wait_for(running, LONG)
    assert [(await each.status()).position for each in (before, receipt)] == [0, 1]
    assert await other.drain(name, echo()) == 2
    expected = [*kept[:-1], "before", "re: before", "Hi", "re: Hi"]
    assert texts(await other.bind(name).get_items()) == expected
    async with other.turn(name) as turn:  # a message that is answered ends nothing any more
        await sender.submit(name, "Hi", agent="echo", turn_id="t", busy=busy)
        await turn.add_items([message("undisturbed")])


@pytest.mark.parametrize("busy", ["interrupt", "rollback", "reject"])
async def test_a_turn_that_waits_for_an_approval_is_not_ended_by_a_message(
    sessions: Sessions, sender: Session, other: Session, busy: Any
) -> None:
    def asks() -> str:
        return "done"

    tool = agents.function_tool(asks, needs_approval=True)
    name = sessions.new_id()
    desk = agent(calls("asks"), says("over"), tools=[tool])
    await Runner.run(desk, "Hi", session=other, session_id=name)
    with pytest.raises(SessionWaiting):
        await sender.submit(name, "Hi", agent="echo", turn_id="t", busy=busy)
    assert (await sender.status(name, "t")).state == "unknown"


async def test_a_message_does_not_end_itself(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name, entered, go = sessions.new_id(), asyncio.Event(), asyncio.Event()

    async def held(_: str) -> None:
        entered.set()
        await go.wait()

    receipt = await sender.submit(name, "Hi", agent="echo", turn_id="t")
    draining = asyncio.create_task(other.drain(name, echo(held), QUICK))
    await asyncio.wait_for(entered.wait(), LONG)
    assert await sender.submit(name, "Hi", agent="echo", turn_id="t", busy="rollback") == receipt
    await state(receipt, "running")
    go.set()
    assert await asyncio.wait_for(draining, LONG) == 1
