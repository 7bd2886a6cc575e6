"""Messages to a busy session: they are queued, refused, or end the running turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import QUICK, echo, state, texts
from tests.integration.fault_lab import LONG, message
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import says
from turnwise import Runner
from turnwise.errors import (
    ApprovalPending,
    InvalidItem,
    SessionBusy,
    TurnCancelled,
    TurnIdReused,
    UsageError,
)
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("busy", ["wait", "enqueue"])
async def test_a_message_is_queued(
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


async def test_the_same_message_sent_twice_at_once_is_not_in_its_own_way(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()
    sent = [
        each.submit(name, "Hi", agent="echo", turn_id="t", busy="reject")
        for _ in range(5)
        for each in (sender, other)
    ]
    assert {receipt.turn_id for receipt in await asyncio.gather(*sent)} == {"t"}
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
    await receipt.runtime.store.delete(name)


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
async def test_a_parked_turn_is_not_ended_by_a_message(
    sessions: Sessions, sender: Session, other: Session, busy: Any
) -> None:
    name = sessions.new_id()
    desk = Clerk().agent(asks("pay"), says("over"))
    await Runner.run(desk, "Hi", session=other, session_id=name)
    with pytest.raises(ApprovalPending):
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
