"""Rolling deploys: workers of two versions side by side. What one lacks is left to the other."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Agent, function_tool

from tests.integration.background_lab import echo, output, state, texts, working
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import Script, calls, says
from turnwise.background import Policy
from turnwise.errors import ReplayMismatch, UnknownAgent
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

sessions = new_sessions_of(["memory", "sqlite", "valkey"])
ONCE = Policy(max_attempts=1, backoff=0.01)
"""The first attempt that counts would be the last."""


async def left_to_others(session: Session, attempts: int) -> None:
    """Wait until so many attempts at the message in session "s" have begun, and none runs."""

    async def left() -> bool:
        info = await session.info("s")
        turn = None if info is None else info.open_turn
        return turn is not None and turn.attempt >= attempts and (turn.lease_remaining or 0) <= 0

    await until(left, 30, "the message was given back")


async def test_a_message_for_an_unknown_agent_is_left_to_workers_that_know_it(
    sessions: Sessions,
) -> None:
    session = sessions.worker()
    receipt = await session.submit("s", "hello", agent="new")
    async with working(sessions.worker(), echo(name="old"), policy=ONCE):
        await left_to_others(session, 1)
        other = await session.submit("other", "hello", agent="old")
        assert await output(other) == "re: hello"
        async with working(sessions.worker(), echo(name="new"), policy=ONCE):
            assert await output(receipt) == "re: hello"
    assert await session.dead_letters() == []


class Shop:
    """An agent that pays and then waits, until its worker is replaced."""

    def __init__(self) -> None:
        self.paid = 0
        self.has_paid = asyncio.Event()
        self.is_replaced = False

    def agent(self, *names: str) -> Agent[Any]:
        async def reply(given: list[Any]) -> Any:
            if given[-1].get("type") != "function_call_output":
                return calls("pay")
            self.has_paid.set()
            if not self.is_replaced:
                await asyncio.Event().wait()
            return says("done")

        async def pay() -> str:
            self.paid += 1
            return "paid"

        async def look() -> str:
            return "seen"

        tools = {"pay": function_tool(pay), "look": function_tool(look)}
        return Agent(name="shop", model=Script(reply), tools=[tools[name] for name in names])


async def test_a_turn_is_left_to_workers_that_have_its_tools(sessions: Sessions) -> None:
    session, shop = sessions.worker(), Shop()
    receipt = await session.submit("s", "buy", agent="shop")
    async with working(sessions.worker(), shop.agent("pay", "look"), policy=ONCE, grace=0):
        await shop.has_paid.wait()
    shop.is_replaced = True
    async with working(sessions.worker(), shop.agent("look"), policy=ONCE):
        await left_to_others(session, 2)
        async with working(sessions.worker(), shop.agent("look", "pay"), policy=ONCE):
            assert await output(receipt) == "done"
    assert shop.paid == 1
    assert await session.dead_letters() == []


@pytest.mark.parametrize("tools", [("look", "pay"), ("pay",)])
async def test_a_worker_that_lacks_no_tool_continues_the_turn(
    sessions: Sessions, tools: tuple[str, ...]
) -> None:
    """Whatever the order of its tools, and if it has further ones."""
    session, shop = sessions.worker(), Shop()
    before = ("pay", "look") if len(tools) == 2 else tools
    receipt = await session.submit("s", "buy", agent="shop")
    async with working(sessions.worker(), shop.agent(*before), policy=ONCE, grace=0):
        await shop.has_paid.wait()
    shop.is_replaced = True
    after = tools if len(tools) == 2 else ("look", "pay")
    async with working(sessions.worker(), shop.agent(*after), policy=ONCE):
        assert await output(receipt) == "done"
    assert shop.paid == 1


async def test_after_the_deploy_timeout_attempts_count(sessions: Sessions) -> None:
    session = sessions.worker()
    receipt = await session.submit("s", "hello", agent="nobody")
    behind = await session.submit("s", "behind", agent="echo")
    policy = Policy(max_attempts=2, backoff=0.01, deploy_timeout=0)
    async with working(sessions.worker(), echo(), policy=policy):
        await state(receipt, "dead")
        assert await output(behind) == "re: behind"
    (letter,) = await session.dead_letters()
    assert letter.attempts == 2
    assert letter.error.startswith("UnknownAgent: session 's': this worker knows no agent 'nobody'")


async def test_a_job_that_cannot_answer_raises_and_leaves_the_message(sessions: Sessions) -> None:
    """So the job queue tries again, on a worker that may be able to."""
    session = sessions.worker()
    await session.submit("s", "hello", agent="new")
    for _ in range(4):
        with pytest.raises(UnknownAgent, match=r"session 's': .* knows no agent 'new'"):
            await session.drain("s", echo())
    assert await session.drain("s", echo(name="new")) == 1
    assert texts(await session.bind("s").get_items()) == ["hello", "re: hello"]


async def test_a_job_that_lacks_a_tool_raises_and_leaves_the_turn(sessions: Sessions) -> None:
    session, shop = sessions.worker(), Shop()
    await session.submit("s", "buy", agent="shop")
    async with working(sessions.worker(), shop.agent("pay"), policy=ONCE, grace=0):
        await shop.has_paid.wait()
    shop.is_replaced = True
    with pytest.raises(ReplayMismatch, match="lacks them now"):
        await session.drain("s", shop.agent("look"))
    assert await session.drain("s", shop.agent("pay")) == 1
    assert shop.paid == 1
