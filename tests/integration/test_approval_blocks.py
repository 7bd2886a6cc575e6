"""`agents.Runner` in a `Session.turn` block: if its last run asks for approvals, it is parked."""

from __future__ import annotations

from typing import Any

import agents
import pytest
from agents import Agent

from tests.integration.approval_lab import Clerk, asks
from tests.integration.stores import KINDS, Sessions, new_sessions_of
from tests.scripted import agent, outline, says
from turnwise import Runner
from turnwise.errors import AlreadyCommitted, ApprovalPending, UsageError
from turnwise.session import Session
from turnwise.turn_session import TurnSession

STREAMED = pytest.mark.parametrize("streamed", [False, True], ids=["run", "streamed"])


sessions = new_sessions_of(KINDS)


async def run(streamed: bool, helper: Agent[Any], given: Any, turn: TurnSession) -> Any:
    if not streamed:
        return await agents.Runner.run(helper, given, session=turn)
    result = agents.Runner.run_streamed(helper, given, session=turn)
    async for _ in result.stream_events():
        pass
    return result


async def names(session: Session) -> list[str]:
    return [asked.tool_name for asked in await session.pending_approvals()]


@STREAMED
async def test_a_block_is_parked_and_its_run_is_resumed_elsewhere(
    sessions: Sessions, streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await session.add_items([{"role": "user", "content": "before"}])
    async with session.turn(turn_id="t") as turn:
        await turn.add_items([{"role": "user", "content": "noted"}])
        result = await run(streamed, clerk.agent(asks("look"), asks("pay", "send")), "go", turn)
        assert [item.name for item in result.interruptions] == ["pay", "send"]
        assert await session.pending_approvals() == []
    assert await names(session) == ["pay", "send"]
    assert outline(await session.get_items()) == ["before"]
    with pytest.raises(ApprovalPending):
        async with session.turn(turn_id="t"):
            pytest.fail("a turn that waits was begun")

    there = sessions.worker(session_id="s")
    pay, send = await there.pending_approvals()
    halfway = await Runner.resume(clerk.agent(), session=there, approve=[pay.id])
    assert [item.name for item in halfway.interruptions] == ["send"]
    final = await Runner.resume(clerk.agent(says("done")), session=session, reject={send.id: "no"})
    assert final.final_output == "done"
    assert clerk.ran == {"look": 1, "pay": 1}
    assert outline(await session.get_items()) == [
        "before",
        "noted",
        "go",
        "call of_look",
        "output of_look: look done",
        "call of_pay",
        "call of_send",
        "output of_pay: pay done",
        "output of_send: no",
        "done",
    ]
    with pytest.raises(AlreadyCommitted):
        async with session.turn(turn_id="t"):
            pytest.fail("a committed turn was begun")


@STREAMED
async def test_a_block_that_goes_on_with_the_state_commits(
    sessions: Sessions, streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    async with session.turn(turn_id="t") as turn:
        helper = clerk.agent(asks("pay"), asks("send"), says("done"))
        result = await run(streamed, helper, "go", turn)
        for tool in ("pay", "send"):
            state = result.to_state()
            (asked,) = state.get_interruptions()
            assert asked.name == tool
            state.approve(asked)
            result = await run(streamed, helper, state, turn)
        await turn.add_items([{"role": "user", "content": "noted"}])
    assert await session.pending_approvals() == []
    assert clerk.ran == {"pay": 1, "send": 1}
    assert outline(await session.get_items())[-2:] == ["done", "noted"]


@STREAMED
async def test_a_block_whose_second_run_asks_for_approvals_again(
    sessions: Sessions, streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    async with session.turn(turn_id="t") as turn:
        await run(streamed, agent(says("hello")), "hi", turn)
        helper = clerk.agent(asks("pay"), asks("send"))
        state = (await run(streamed, helper, "go", turn)).to_state()
        state.approve(state.get_interruptions()[0])
        await run(streamed, helper, state, turn)
    (asked,) = await session.pending_approvals()
    assert asked.tool_name == "send"
    answer = await Runner.resume(
        clerk.agent(says("done")), session=sessions.worker(session_id="s"), approve=[asked.id]
    )
    assert answer.final_output == "done"
    assert clerk.ran == {"pay": 1, "send": 1}
    assert outline(await session.get_items())[:3] == ["hi", "hello", "go"]
    again = await Runner.run(clerk.agent(), "go", session=session, turn_id="t")
    assert again.final_output == "done"


@STREAMED
async def test_nothing_is_mixed_into_a_block_with_pending_approvals(
    sessions: Sessions, streamed: bool
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    async with session.turn(turn_id="t") as turn:
        helper = clerk.agent(asks("pay"))
        other = (await run(streamed, clerk.agent(asks("send")), "go", turn)).to_state()
        with pytest.raises(UsageError, match="asks for approvals"):
            await turn.add_items([{"role": "user", "content": "more"}])
        with pytest.raises(UsageError, match="asks for approvals"):
            await turn.pop_item()
        with pytest.raises(UsageError, match="asks for approvals"):
            await turn.clear_session()
        with pytest.raises(UsageError, match="asks for approvals"):
            await run(streamed, helper, "more", turn)
        foreign = (await agents.Runner.run(helper, "go")).to_state()
        with pytest.raises(UsageError, match="asks for approvals"):
            await run(streamed, helper, foreign, turn)
        other.approve(other.get_interruptions()[0])  # and not run: nobody has decided anything
    assert await names(session) == ["send"]
    (asked,) = await session.pending_approvals()
    result = await Runner.resume(
        clerk.agent(says("no")), session=session, reject={asked.id: "Not today."}
    )
    assert result.final_output == "no"
    assert clerk.ran == {}


@STREAMED
async def test_a_block_that_raises_does_not_wait(sessions: Sessions, streamed: bool) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    with pytest.raises(RuntimeError, match="ours"):
        async with session.turn(turn_id="t") as turn:
            await run(streamed, clerk.agent(asks("pay")), "go", turn)
            raise RuntimeError("ours")
    assert await session.pending_approvals() == []
    assert await session.get_items() == []


async def test_an_interrupted_run_inside_a_tool_is_the_tool_s(sessions: Sessions) -> None:
    """Only runs of the block itself say whether its turn waits."""
    clerk, session = Clerk(), sessions.worker(session_id="s")

    @agents.function_tool
    async def ask_inside() -> str:
        inner = await agents.Runner.run(clerk.agent(asks("pay")), "inside", session=turn)
        return f"{len(inner.interruptions)} waits"

    async with session.turn() as turn:
        helper = agent(asks("ask_inside"), says("done"), tools=[ask_inside])
        result = await agents.Runner.run(helper, "go", session=turn)
    assert result.final_output == "done"
    assert await session.pending_approvals() == []
