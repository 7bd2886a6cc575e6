"""The agent of `turnwise dev examples.chat:agents`, without an API key."""

from __future__ import annotations

import pytest
from agents import Agent

from turnwise import MemorySession, Runner
from turnwise.errors import ApprovalPending


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Agent:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    from examples.chat import agents

    return agents[0]


async def test_it_looks_an_order_up_and_goes_on(agent: Agent) -> None:
    async with MemorySession() as session:
        for order in "A-1001", "B-7":
            result = await Runner.run(
                agent, f"Where is {order}?", session=session, session_id="user-1"
            )
            assert result.final_output == f"Order {order} was shipped on Monday."
        result = await Runner.run(agent, "Thank you", session=session, session_id="user-1")
        assert result.final_output


async def test_it_asks_before_it_pays_back(agent: Agent) -> None:
    async with MemorySession() as session:
        result = await Runner.run(
            agent, "A refund for A-1001, please", session=session, session_id="user-1"
        )
        (asked,) = result.interruptions
        assert asked.name == "refund"
        with pytest.raises(ApprovalPending):
            await Runner.run(agent, "Well?", session=session, session_id="user-1")
        (pending,) = await session.pending_approvals("user-1")
        result = await Runner.resume(
            agent, session=session, session_id="user-1", approve=[pending.id]
        )
        assert result.final_output == "The money for order A-1001 is on its way back."
