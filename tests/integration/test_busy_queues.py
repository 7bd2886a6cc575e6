"""Interrupting a session with a queue: what waits in the queue is never ended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.integration.background_lab import QUICK, echo, texts
from tests.integration.fault_lab import LONG, message, until_queued
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, says
from turnwise import Runner
from turnwise.errors import TurnCancelled
from turnwise.session import Session
from turnwise.testing.conformance.lab import mint
from turnwise.types import Absent, Grant, Queued

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(["memory", "sqlite", "valkey"])

Come = Callable[[Session, str, Any], Coroutine[Any, Any, None]]


async def run(session: Session, name: str, busy: Any) -> None:
    """A run that comes to the session."""
    desk = agent(says("over"))
    await Runner.run(desk, "come", session=session, session_id=name, busy=busy, timeout=LONG)


async def turn(session: Session, name: str, busy: Any) -> None:
    """A turn that comes to it, and leaves what the run does."""
    async with session.turn(name, busy=busy, timeout=LONG) as turn:
        await turn.add_items([message("come"), message("over")])


ENDS = pytest.mark.parametrize("busy", ["interrupt", "rollback"])
COMES = pytest.mark.parametrize("come", [run, turn])


async def attempt(session: Session, name: str) -> tuple[str, str]:
    """A worker takes the first message: the ids of its turn and lease."""
    token = mint()
    answer = await session.runtime.store.next(name, token, int(LONG * 1000), worker="w")
    assert isinstance(answer, Grant)
    return answer.turn_id, token


@ENDS
@COMES
async def test_a_queued_message_keeps_its_position(
    sessions: Sessions, sender: Session, other: Session, come: Come, busy: Any
) -> None:
    name = sessions.new_id()
    receipt = await sender.submit(name, "Hi", agent="echo")
    coming = asyncio.create_task(come(other, name, busy))
    await until_queued(other, name, 2)
    assert (await receipt.status()).state == "queued"
    await sender.drain(name, echo())
    await asyncio.wait_for(coming, LONG)
    assert texts(await other.bind(name).get_items()) == ["Hi", "re: Hi", "come", "over"]


@ENDS
async def test_a_queued_message_stays_before_another(
    sessions: Sessions, sender: Session, other: Session, busy: Any
) -> None:
    name = sessions.new_id()
    first = await sender.submit(name, "one", agent="echo")
    second = await other.submit(name, "two", agent="echo", busy=busy)
    assert [(await each.status()).position for each in (first, second)] == [0, 1]
    assert await sender.drain(name, echo()) == 2
    assert texts(await other.bind(name).get_items()) == ["one", "re: one", "two", "re: two"]


@ENDS
@pytest.mark.parametrize("come", [run, turn, None])
async def test_a_message_that_is_released_meanwhile_stays(
    sessions: Sessions,
    sender: Session,
    other: Session,
    monkeypatch: pytest.MonkeyPatch,
    come: Come | None,
    busy: Any,
) -> None:
    """Its turn was open when it was seen, and is not any more when it is to be ended."""
    name, store = sessions.new_id(), other.runtime.store
    receipt = await sender.submit(name, "Hi", agent="echo")
    ids, cancel, given_back = await attempt(sender, name), store.cancel, asyncio.Event()

    async def too_late(*args: Any, **how: Any) -> Any:
        if not given_back.is_set():
            await sender.runtime.store.abort(name, *ids)
        answer = await cancel(*args, **how)
        given_back.set()
        return answer

    monkeypatch.setattr(store, "cancel", too_late)
    sent = come(other, name, busy) if come else other.submit(name, "Ho", agent="echo", busy=busy)
    coming = asyncio.ensure_future(sent)
    await asyncio.wait_for(given_back.wait(), LONG)
    assert (await receipt.status()).state == "queued"
    await until_queued(other, name, 2)
    await sender.drain(name, echo())
    await asyncio.wait_for(coming, LONG)
    assert (await receipt.result(LONG)).final_output == "re: Hi"


@ENDS
@pytest.mark.parametrize("come", [run, turn, None])
async def test_the_message_of_a_turn_that_is_ended_is_not_run_again(
    sessions: Sessions, sender: Session, other: Session, come: Come | None, busy: Any
) -> None:
    name, entered = sessions.new_id(), asyncio.Event()

    async def held(_: str) -> None:
        entered.set()
        await asyncio.Event().wait()

    receipt = await sender.submit(name, "Hi", agent="echo")
    draining = asyncio.create_task(sender.drain(name, echo(held), QUICK))
    await asyncio.wait_for(entered.wait(), LONG)
    if come is not None:
        await asyncio.wait_for(come(other, name, busy), LONG)
    else:
        draining.cancel()  # it would answer what follows as well
        await other.submit(name, "come", agent="echo", busy=busy)
    await asyncio.wait({draining}, timeout=LONG)
    with pytest.raises(TurnCancelled):
        await receipt.result(LONG)
    assert await sender.drain(name, echo()) == (0 if come else 1)


@ENDS
@pytest.mark.parametrize("come", [run, turn, None])
async def test_a_caller_in_the_queue_is_not_ended(
    sessions: Sessions, sender: Session, other: Session, come: Come | None, busy: Any
) -> None:
    name, store, token = sessions.new_id(), sender.runtime.store, mint()
    async with other.turn(name):
        ticket: dict[str, Any] = {"worker": "w", "ticket_ms": int(LONG * 1000)}
        assert isinstance(await store.begin(name, "first", token, 60_000, **ticket), Queued)
    if come is not None:  # it is passed over, for it does not come
        await asyncio.wait_for(come(other, name, busy), LONG)
    else:
        await other.submit(name, "come", agent="echo", busy=busy)
        assert await sender.drain(name, echo()) == 1
    assert isinstance(await store.status(name, "first"), Absent)
    assert isinstance(await store.begin(name, "first", token, 60_000, **ticket), Grant | Queued)
    await store.abort(name, "first", token)
