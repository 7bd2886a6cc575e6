"""A run's state, decided by the application, handed to `Runner.run` and `run_streamed`."""

from __future__ import annotations

from typing import Any

import pytest
from agents import Agent, RunContextWrapper, RunState

from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import outline, says
from turnwise import NoPendingApproval, Runner
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(KINDS)
STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])
DECISIONS = [["approve"], ["reject"], ["approve", "reject"], ["reject", "reject"]]


async def resumed(
    streamed: bool, helper: Agent[Any], state: RunState[Any, Any], session: Session
) -> Any:
    if not streamed:
        return await Runner.run(helper, state, session=session)
    result = Runner.run_streamed(helper, state, session=session)
    async for _ in result.stream_events():
        pass
    return result


@STREAMED
@pytest.mark.parametrize("decisions", DECISIONS, ids="-".join)
async def test_a_decided_state_continues_its_parked_turn(
    sessions: Sessions, decisions: list[str], streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id=sessions.new_id())
    tools = ["pay", "send"][: len(decisions)]
    asked = await waiting(session, clerk, *tools)
    helper = clerk.agent(says("done"))
    state = await RunState.from_string(helper, asked.to_state().to_string())
    for item, decision in zip(state.get_interruptions(), decisions, strict=True):
        getattr(state, decision)(item)
    result = await resumed(streamed, helper, state, session)
    assert result.final_output == "done"
    approved = {t for t, decision in zip(tools, decisions, strict=True) if decision == "approve"}
    assert clerk.ran == {"look": 1} | dict.fromkeys(approved, 1)
    outputs = [
        f"output of_{tool}: "
        + (f"{tool} done" if tool in approved else "Tool execution was not approved.")
        for tool in tools
    ]
    asked_for = [f"call of_{tool}" for tool in ("look", *tools)]
    shown = outline(await session.get_items())
    assert sorted(shown) == sorted(
        ["go", *asked_for, "output of_look: look done", *outputs, "done"]
    )
    await session.add_items([{"role": "user", "content": "free"}])


@pytest.mark.parametrize("context", [None, {"user": 1}, Clerk()], ids=["none", "json", "other"])
async def test_a_state_whose_run_failed_may_be_sent_again(sessions: Sessions, context: Any) -> None:
    clerk, session = Clerk(), sessions.worker(session_id=sessions.new_id())
    asked = await waiting(session, clerk, "pay", context=context)
    helper = clerk.agent(OSError("offline"), asks("send"), OSError("offline"), says("done"))
    stored = asked.to_state().to_json(context_serializer=lambda _: {})
    wrapper = None if context is None else RunContextWrapper(context)
    state = await RunState.from_json(helper, stored, context_override=wrapper)
    state.approve(state.get_interruptions()[0])
    for _ in range(2):
        with pytest.raises(OSError, match="offline"):
            await Runner.run(helper, state, session=session)
        asked = await Runner.run(helper, state, session=session)
        if not asked.interruptions:
            break
        assert asked.context_wrapper.context == context
        state = asked.to_state()
        state.approve(asked.interruptions[0])
    assert asked.final_output == "done"
    assert clerk.ran == {"look": 1, "pay": 1, "send": 1}


@STREAMED
async def test_a_state_that_was_rejected_elsewhere_runs_nothing(
    sessions: Sessions, streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id=sessions.new_id())
    asked = await waiting(session, clerk, "pay")
    state = asked.to_state()
    state.reject(asked.interruptions[0])
    (pending,) = await session.pending_approvals()
    await Runner.resume(clerk.agent(says("no")), session=session, reject={pending.id: None})
    before = await session.get_items()
    with pytest.raises(NoPendingApproval, match="of_pay"):
        await resumed(streamed, clerk.agent(says("again")), state, session)
    assert await session.get_items() == before
