"""Session objects that cannot do what is asked of them say so: closed ones, and some subclasses."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import agents
import pytest
from agents import TResponseInputItem

from tests.integration.stores import KINDS, Sessions, new_sessions_of
from tests.scripted import agent, outline, says
from turnwise import MemorySession, Receipt, Runner, UsageError, Worker
from turnwise.session import Session

sessions = new_sessions_of(KINDS)
LONG = 30.0
Operation = Callable[[Session], Coroutine[Any, Any, Any]]


async def turn(session: Session) -> None:
    async with session.turn():
        pass


async def streamed(session: Session) -> None:
    async for _ in Runner.run_streamed(agent(says("no")), "hi", session=session).stream_events():
        pass


async def listed(session: Session) -> None:
    async for _ in session.scan():
        pass


OPERATIONS: dict[str, Operation] = {
    "get_items": lambda session: session.get_items(),
    "add_items": lambda session: session.add_items([{"role": "user", "content": "hi"}]),
    "pop_item": lambda session: session.pop_item(),
    "clear_session": lambda session: session.clear_session(),
    "turn": turn,
    "run": lambda session: Runner.run(agent(says("no")), "hi", session=session),
    "streamed": streamed,
    "resume": lambda session: Runner.resume(agent(), session=session, approve=["a"]),
    "submit": lambda session: session.submit(None, "hi", agent="agent"),
    "drain": lambda session: session.drain(None, agent()),
    "status": lambda session: session.status(None, "t"),
    "dead_letters": lambda session: session.dead_letters(),
    "decide": lambda session: session.decide(approve=["a"]),
    "pending_approvals": lambda session: session.pending_approvals(),
    "cancel": lambda session: session.cancel(),
    "info": lambda session: session.info(),
    "delete": lambda session: session.delete(),
    "ping": lambda session: session.ping(),
    "scan": listed,
}


async def test_a_closed_session_raises_whatever_is_asked_of_it(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    other = session.bind("s")
    await Runner.run(agent(says("hello")), "hi", session=session)
    await session.aclose()
    await session.aclose()
    for name, operation in OPERATIONS.items():
        for closed in (session, other):
            with pytest.raises(UsageError, match="closed"):
                await operation(closed)
                pytest.fail(name)
    assert outline(await sessions.worker(session_id="s").get_items()) == ["hi", "hello"]


async def followed(receipt: Receipt) -> None:
    async for _ in receipt.events():
        pass


ASKED: dict[str, Callable[[Receipt], Coroutine[Any, Any, Any]]] = {
    "status": lambda receipt: receipt.status(),
    "result": lambda receipt: receipt.result(),
    "result in time": lambda receipt: receipt.result(timeout=LONG),
    "events": followed,
}


@pytest.mark.parametrize("name", ASKED)
async def test_a_receipt_says_that_its_session_is_closed(sessions: Sessions, name: str) -> None:
    session = sessions.worker(session_id="s")
    receipt = await session.submit(None, "hi", agent="agent")
    async with asyncio.timeout(LONG):
        waiting = asyncio.create_task(ASKED[name](receipt))
        await asyncio.sleep(0)
        await session.aclose()
        with pytest.raises(UsageError, match="closed"):
            await ASKED[name](receipt)
        if name != "status":  # which had its answer
            with pytest.raises(UsageError, match="closed"):
                await waiting
        await asyncio.wait({waiting})


async def test_a_worker_ends_when_its_session_is_closed(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    await Runner.run(agent(says("hello")), "hi", session=session)
    async with asyncio.timeout(LONG):
        working = asyncio.create_task(Worker(session, agent()).run())
        await asyncio.sleep(0)
        await session.aclose()
        with pytest.raises(UsageError, match="closed"):
            await working
        with pytest.raises(UsageError, match="closed"):
            await Worker(session, agent()).run()


async def test_a_stream_that_ends_while_its_session_closes_is_committed(sessions: Sessions) -> None:
    session = sessions.worker(session_id="s")
    result = Runner.run_streamed(agent(says("hello")), "hi", session=session)
    await asyncio.sleep(0)
    await session.aclose()
    assert result.final_output == "hello"
    assert outline(await sessions.worker(session_id="s").get_items()) == ["hi", "hello"]


class Shouting(MemorySession):
    """Changes what a model is given."""

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        return [{"role": "user", "content": "LISTEN"}, *await super().get_items(limit)]


@pytest.mark.parametrize("name", ["turn", "run", "streamed", "resume", "drain"])
async def test_a_turn_refuses_a_subclass_whose_methods_it_would_not_call(name: str) -> None:
    with pytest.raises(UsageError, match=r"Shouting overrides get_items.*agents\.Runner"):
        await OPERATIONS[name](Shouting(session_id="s"))


async def test_the_sdks_runner_calls_a_subclass_own_methods() -> None:
    helper, session = agent(says("hello")), Shouting(session_id="s")
    result = await agents.Runner.run(helper, "hi", session=session)
    assert outline(result.to_input_list()) == ["LISTEN", "hi", "hello"]


async def test_a_subclass_that_adds_methods_of_its_own_has_turns() -> None:
    class Named(MemorySession):
        title = "notes"

    result = await Runner.run(agent(says("hello")), "hi", session=Named(session_id="s"))
    assert result.final_output == "hello"
