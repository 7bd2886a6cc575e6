"""Decisions for good: about all calls of a tool by its agent, as the SDK's `always_approve`."""

from __future__ import annotations

from typing import Any

import pytest
from agents import RunState
from agents.testing import function_call

from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import says
from turnwise import Runner, UsageError
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(KINDS)


@pytest.fixture
def session(sessions: Sessions) -> Session:
    return sessions.worker(session_id=sessions.new_id())


def pays(*call_ids: str) -> Any:
    return [function_call("pay", f'{{"what": "{one}"}}', call_id=one) for one in call_ids]


async def test_later_calls_of_the_tool_need_no_approval(session: Session) -> None:
    clerk = Clerk()
    await waiting(session, clerk, "pay")
    (first,) = await session.pending_approvals()
    helper = clerk.agent(pays("second"), asks("send"))
    result = await Runner.resume(helper, session=session, always_approve=[first.id])
    assert [item.name for item in result.interruptions] == ["send"]
    assert clerk.ran == {"look": 1, "pay": 1, "pay second": 1}


async def test_later_calls_of_a_rejected_tool_are_rejected_too(session: Session) -> None:
    clerk = Clerk()
    await waiting(session, clerk, "pay")
    (first,) = await session.pending_approvals()
    helper = clerk.agent(pays("second"), says("done"))
    result = await Runner.resume(helper, session=session, always_reject={first.id: "Never."})
    assert result.final_output == "done"
    assert clerk.ran == {"look": 1}
    history: list[Any] = await session.get_items()
    outputs = [item["output"] for item in history if "output" in item]
    assert outputs == ["look done", "Never.", "Never."]


@pytest.mark.parametrize("how", ["resume", "decide", "state"])
async def test_it_outlives_a_resume_that_fails(session: Session, how: str) -> None:
    clerk = Clerk()
    asked = await waiting(session, clerk, "pay")
    (first,) = await session.pending_approvals()
    if how == "decide":
        assert await session.decide(always_approve=[first.id]) == []
    fails = clerk.agent(OSError("offline"))
    with pytest.raises(OSError, match="offline"):
        if how == "state":
            state = await RunState.from_string(fails, asked.to_state().to_string())
            state.approve(state.get_interruptions()[0], always_approve=True)
            await Runner.run(fails, state, session=session)
        elif how == "resume":
            await Runner.resume(fails, session=session, always_approve=[first.id])
        else:
            await Runner.resume(fails, session=session)
    result = await Runner.resume(clerk.agent(pays("second"), says("done")), session=session)
    assert result.final_output == "done"
    assert clerk.ran == {"look": 1, "pay": 1, "pay second": 1}


async def two_payments(session: Session, clerk: Clerk) -> list[str]:
    helper = clerk.agent(pays("first", "second"))
    await Runner.run(helper, "go", session=session, turn_id="t")
    return [one.id for one in await session.pending_approvals()]


async def test_it_counts_for_a_call_that_is_pending_and_stays_decided(session: Session) -> None:
    clerk = Clerk()
    first, _ = await two_payments(session, clerk)
    with pytest.raises(OSError, match="offline"):
        await Runner.resume(
            clerk.agent(OSError("offline")), session=session, always_approve=[first]
        )
    assert clerk.ran == {"pay first": 1, "pay second": 1}
    assert await session.pending_approvals() == []
    info, status = await session.info(), await session.status(None, "t")
    assert info is not None
    assert info.open_turn is not None
    assert (info.open_turn.state, status.state) == ("parked", "parked")
    result = await Runner.resume(clerk.agent(says("done")), session=session)
    assert result.final_output == "done"
    assert clerk.ran == {"pay first": 1, "pay second": 1}


async def test_a_pending_call_that_is_decided_otherwise_is_an_exception(session: Session) -> None:
    clerk = Clerk()
    first, second = await two_payments(session, clerk)
    helper = clerk.agent(pays("third"), says("done"))
    await Runner.resume(helper, session=session, always_approve=[first], reject={second: None})
    assert clerk.ran == {"pay first": 1, "pay third": 1}


async def test_one_call_is_not_decided_twice(session: Session) -> None:
    for twice in ({"approve": ["a"]}, {"reject": {"a": None}}, {"always_reject": {"a": None}}):
        decided: Any = twice
        with pytest.raises(UsageError, match="'a'"):
            await Runner.resume(Clerk().agent(), session=session, always_approve=["a"], **decided)
