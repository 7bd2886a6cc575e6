"""A turn that is parked many times keeps one state."""

from __future__ import annotations

import pytest
from agents import Agent, function_tool

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import Script, calls, says
from turnwise import Runner
from turnwise.types import Info

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(KINDS)
PAUSES = 4


async def test_a_turn_that_is_parked_many_times(sessions: Sessions) -> None:
    session, ran = sessions.worker(session_id=sessions.new_id()), list[str]()

    def look() -> str:
        ran.append("look")
        return "looked"

    def pay() -> str:
        ran.append("pay")
        return "paid"

    tools = [function_tool(look), function_tool(pay, needs_approval=True)]
    replies = [calls(name, f"{name}_{n}") for n in range(PAUSES) for name in ("look", "pay")]
    helper = Agent(name="clerk", model=Script(*replies, says("done")), tools=list(tools))
    result = await Runner.run(helper, "go", session=session)
    for _ in range(PAUSES):
        info = await session.runtime.store.info(session.session_id)
        assert isinstance(info, Info)
        assert info.journal_entries == 1
        (asked,) = await session.pending_approvals()
        result = await Runner.resume(helper, session=session, approve=[asked.id])
    assert result.final_output == "done"
    assert ran == PAUSES * ["look", "pay"]
