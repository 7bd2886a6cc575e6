"""A queued message's turn_id, sent again as a run or a turn: the caller gets the message's end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.background_lab import echo, texts
from tests.integration.fault_lab import LONG
from tests.integration.stores import Sessions, sessions_of
from turnwise import Runner
from turnwise.errors import (
    AlreadyCommitted,
    BusyTimeout,
    SessionBusy,
    TurnCancelled,
    TurnIdReused,
)
from turnwise.session import Session
from turnwise.turns.turn_end import TurnEndWaiter

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])


@pytest.mark.parametrize("busy", ["wait", "enqueue", "interrupt", "rollback"])
@pytest.mark.parametrize("running", [False, True])
async def test_a_message_sent_as_a_run_gives_the_answer_of_the_message(
    sessions: Sessions, sender: Session, other: Session, busy: Any, running: bool
) -> None:
    """The run comes before a worker has taken the message up, or after."""
    name, entered, go = sessions.new_id(), asyncio.Event(), asyncio.Event()

    async def held(_: str) -> None:
        entered.set()
        await go.wait()

    await sender.submit(name, "Hi", agent="echo", turn_id="t")
    draining = None
    if running:
        draining = asyncio.create_task(sender.drain(name, echo(held)))
        await asyncio.wait_for(entered.wait(), LONG)
    sent = asyncio.create_task(
        Runner.run(echo(), "Hi", session=other, session_id=name, turn_id="t", busy=busy)
    )
    blocked = asyncio.create_task(until_answered(other, name, busy))
    if not running:
        draining = asyncio.create_task(sender.drain(name, echo(held)))
        await asyncio.wait_for(entered.wait(), LONG)
    assert not sent.done()
    go.set()
    assert (await asyncio.wait_for(sent, LONG)).final_output == "re: Hi"
    assert isinstance(await asyncio.wait_for(blocked, LONG), AlreadyCommitted)
    assert draining is not None
    assert await asyncio.wait_for(draining, LONG) == 1
    assert texts(await other.bind(name).get_items()) == ["Hi", "re: Hi"]
    with pytest.raises(TurnIdReused):
        await Runner.run(echo(), "Ho", session=other, session_id=name, turn_id="t", busy=busy)


async def until_answered(session: Session, name: str, busy: Any) -> BaseException | None:
    try:
        async with session.turn(name, turn_id="t", busy=busy):
            pass
    except AlreadyCommitted as error:
        return error
    return None


async def test_a_caller_waits_for_its_queued_message_without_a_ticket(
    sessions: Sessions, sender: Session, other: Session
) -> None:
    name = sessions.new_id()
    await sender.submit(name, "Hi", agent="echo", turn_id="t")
    with pytest.raises(SessionBusy, match="in its queue already"):
        await until_answered(other, name, "reject")
    with pytest.raises(BusyTimeout, match=r"turn 't' is queued for .*no worker"):
        async with other.turn(name, turn_id="t", timeout=0.1):
            pass
    info = await sender.info(name)
    assert info is not None
    assert info.queued == 1
    answered = asyncio.create_task(until_answered(other, name, "wait"))
    await sender.cancel(name, "t")
    with pytest.raises(TurnCancelled):
        await asyncio.wait_for(answered, LONG)


async def test_a_caller_learns_of_its_message_s_end_though_others_are_queued_behind_it(
    sessions: Sessions, sender: Session, other: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the end of its events, not by looking every now and then."""
    name, waits, wait = sessions.new_id(), asyncio.Event(), TurnEndWaiter.wait

    async def watched(self: TurnEndWaiter, _: float = 0.0) -> None:
        waits.set()
        await wait(self, LONG)

    monkeypatch.setattr(TurnEndWaiter, "wait", watched)
    await sender.submit(name, "Hi", agent="echo", turn_id="t")
    await sender.submit(name, "Ho", agent="echo")
    asked = asyncio.create_task(until_answered(other, name, "enqueue"))
    await asyncio.wait_for(waits.wait(), LONG)
    assert await sender.drain(name, echo()) == 2
    assert isinstance(await asyncio.wait_for(asked, LONG), AlreadyCommitted)
