"""Messages that bring functions of their sender, and messages that follow a certain turn."""

from __future__ import annotations

from typing import Any

import pytest

from tests.integration.background_lab import output, state, working
from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, echo, outline, says, weather
from turnwise import HistoryChanged, SessionBusy, UsageError

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite", "valkey"])
ADD = {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}


async def test_a_call_of_the_sender_s_function_parks_the_turn(sessions: Sessions) -> None:
    session, name = sessions.worker(), sessions.new_id()
    helper = agent(calls("add", "c1", '{"a": 2}'), says("done"))
    async with working(session, helper):
        receipt = await session.submit(name, "2?", agent="agent", tools=[ADD])
        await state(receipt, "parked")
        (asked,) = await session.pending_approvals(name)
        assert (asked.tool_name, asked.arguments) == ("add", '{"a": 2}')
        await session.decide(name, reject={asked.id: "5"})
        assert await output(receipt) == "done"
    items = await session.bind(name).get_items()
    assert outline(items) == ["2?", "call c1", "output c1: 5", "done"]
    parked = [e async for _, e in receipt.events() if e["type"] == "turn.parked"]
    assert [one["id"] for one in parked[0]["approvals"]] == [asked.id]


async def test_a_tool_of_the_agent_goes_before_one_of_that_name(sessions: Sessions) -> None:
    session, name = sessions.worker(), sessions.new_id()
    helper = agent(calls("weather", "c1"), says("done"), tools=[weather])
    async with working(session, helper):
        receipt = await session.submit(name, "?", agent="agent", tools=[{"name": "weather"}])
        assert await output(receipt) == "done"


@pytest.mark.parametrize(
    "tools", [[{}], [{"name": 5}], [{"name": "a", "parameters": 5}], [{"name": "a"}] * 2]
)
async def test_what_is_no_function_is_refused(sessions: Sessions, tools: Any) -> None:
    session = sessions.worker()
    with pytest.raises(UsageError, match="tool"):
        await session.submit(sessions.new_id(), "?", agent="agent", tools=tools)


async def test_a_message_that_follows_a_turn(sessions: Sessions) -> None:
    session, name = sessions.worker(), sessions.new_id()
    after: dict[str, Any] = {"agent": "agent", "busy": "reject"}
    async with working(session, agent(echo)):
        first = await session.submit(name, "one", turn_id="t1", **after)
        await output(first)
        second = await session.submit(name, "two", turn_id="t2", after="t1", **after)
        await output(second)
        async with session.turn(name, turn_id="nothing is added"):
            pass
        with pytest.raises(HistoryChanged, match="t1"):
            await session.submit(name, "three", turn_id="t3", after="t1", **after)
        again = await session.submit(name, "two", turn_id="t2", after="t1", **after)
        assert again == second
        third = await session.submit(name, "three", turn_id="t3", after="t2", **after)
        await output(third)
    async with session.turn(name):
        with pytest.raises(SessionBusy):
            await session.submit(name, "four", after="t3", **after)
    with pytest.raises(HistoryChanged):
        await session.submit(sessions.new_id(), "x", after="t1", **after)
    with pytest.raises(UsageError, match="reject"):
        await session.submit(name, "x", agent="agent", after="t3")
