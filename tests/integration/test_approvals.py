"""Turns that are parked until approvals are decided, on every store."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import agents
import pytest
from agents import Agent, function_tool
from agents.testing import function_call

from tests.integration.approval_lab import Clerk, agent, asks, one_resumes, waiting
from tests.integration.stores import KINDS, Sessions, new_sessions_of
from tests.scripted import calls, outline, says, script_of
from turnwise import NoPendingApproval, NotResumable, PendingApproval, Runner
from turnwise.errors import (
    ApprovalPending,
    TurnTooLarge,
    UsageError,
)
from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent, TurnEvent, TurnParkedEvent

sessions = new_sessions_of(KINDS)


async def test_a_run_is_parked_and_resumed_elsewhere(sessions: Sessions) -> None:
    clerk, events = Clerk(), list[TurnEvent]()
    here = sessions.worker(session_id="s", hooks=(events.append,))
    await here.add_items([{"role": "user", "content": "before"}])
    await waiting(here, clerk, "pay", turn_id="t")
    assert outline(await here.get_items()) == ["before"]
    (parked,) = [event for event in events if isinstance(event, TurnParkedEvent)]
    assert parked.pending == 1

    there = sessions.worker(session_id="s", hooks=(events.append,))
    (asked,) = await there.pending_approvals()
    assert asked == PendingApproval(asked.id, "pay", "{}", "clerk", "of_pay", "t")
    result = await Runner.resume(clerk.agent(says("paid")), session=there, approve=[asked.id])
    assert result.final_output == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}
    assert outline(await here.get_items()) == [
        "before",
        "go",
        "call of_look",
        "output of_look: look done",
        "call of_pay",
        "output of_pay: pay done",
        "paid",
    ]
    begun = [event for event in events if isinstance(event, TurnBegunEvent)]
    assert [event.resumed for event in begun] == [False, True]
    assert [type(event) for event in events[-2:]] == [TurnBegunEvent, TurnCommittedEvent]
    assert await there.pending_approvals() == []


async def test_nothing_is_mixed_into_a_parked_turn(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay", turn_id="t")
    for turn_id in (None, "t", "u"):
        with pytest.raises(ApprovalPending):
            await Runner.run(clerk.agent(says("x")), "else", session=session, turn_id=turn_id)
    with pytest.raises(ApprovalPending):
        await session.add_items([{"role": "user", "content": "x"}])
    (asked,) = await session.pending_approvals()
    await Runner.resume(clerk.agent(says("paid")), session=session, approve=[asked.id])
    again = await Runner.run(clerk.agent(says("x")), "go", session=session, turn_id="t")
    assert again.final_output == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}


async def test_some_are_decided_now_and_some_later(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay", "send")
    first, second = await session.pending_approvals()
    halfway = await Runner.resume(clerk.agent(says("x")), session=session, approve=[first.id])
    assert [item.name for item in halfway.interruptions] == ["send"]
    assert clerk.ran == {"look": 1, "pay": 1}
    assert await session.pending_approvals() == [second]
    other = sessions.worker(session_id="s")
    helper = clerk.agent(says("paid, not sent"))
    result = await Runner.resume(helper, session=other, reject={second.id: "not on my watch"})
    assert result.final_output == "paid, not sent"
    assert clerk.ran == {"look": 1, "pay": 1}
    shown = outline(script_of(helper).asked[0])
    assert "output of_send: not on my watch" in shown
    assert outline(await session.get_items()) == [*shown, "paid, not sent"]


async def test_an_approval_may_lead_to_another_one(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay")
    (first,) = await session.pending_approvals()
    await Runner.resume(
        clerk.agent(asks("look", "pay", again="_2")), session=session, approve=[first.id]
    )
    (second,) = await session.pending_approvals()
    assert second.id != first.id
    with pytest.raises(NoPendingApproval, match=first.id):
        await Runner.resume(clerk.agent(says("x")), session=session, approve=[first.id])
    assert clerk.ran == {"look": 2, "pay": 1}
    result = await Runner.resume(clerk.agent(says("all")), session=session, approve=[second.id])
    assert result.final_output == "all"
    assert clerk.ran == {"look": 2, "pay": 2}
    assert len(await session.get_items()) == 10


async def test_two_who_resume_at_once_run_the_tool_once(sessions: Sessions) -> None:
    clerk = Clerk()
    await waiting(sessions.worker(session_id="s"), clerk, "pay")
    workers = [sessions.worker(session_id="s") for _ in range(3)]
    (asked,) = await workers[0].pending_approvals()
    await one_resumes(workers, clerk, asked, "paid")
    assert clerk.ran == {"look": 1, "pay": 1}


async def test_what_does_not_wait_is_refused(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    assert await session.pending_approvals() == []
    with pytest.raises(NoPendingApproval):
        await Runner.resume(clerk.agent(says("x")), session=session, approve=["a"])
    await waiting(session, clerk, "pay")
    (asked,) = await session.pending_approvals()
    with pytest.raises(NoPendingApproval, match="other"):
        await Runner.resume(clerk.agent(says("x")), session=session, approve=[asked.id, "other"])
    with pytest.raises(UsageError, match="nothing is decided"):
        await Runner.resume(clerk.agent(says("x")), session=session)
    with pytest.raises(UsageError, match="approved and rejected"):
        await Runner.resume(
            clerk.agent(says("x")), session=session, approve=[asked.id], reject={asked.id: None}
        )
    assert await session.pending_approvals() == [asked]
    assert clerk.ran == {"look": 1}


async def test_a_run_that_fails_after_the_approval_stays_parked(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay")
    (asked,) = await session.pending_approvals()
    with pytest.raises(OSError, match="down"):
        broken = clerk.agent(OSError("down"))
        await Runner.resume(broken, session=session, approve=[asked.id])
    assert await session.pending_approvals() == []  # it is decided
    with pytest.raises(ApprovalPending):
        await Runner.run(clerk.agent(says("x")), "else", session=session)
    result = await Runner.resume(clerk.agent(says("paid")), session=session)
    assert result.final_output == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}


@pytest.mark.parametrize("change", ["agent", "tool", "schema"])
async def test_what_cannot_be_restored_is_refused_and_kept(
    sessions: Sessions, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay")
    (asked,) = await session.pending_approvals()
    helper = clerk.agent(says("x"), without="pay" if change == "tool" else "")
    if change == "agent":
        helper = clerk.agent(says("x"), name="another")
    with monkeypatch.context() as older:
        if change == "schema":
            older.setattr("agents.run_state.SUPPORTED_SCHEMA_VERSIONS", {"1.0"})
        with pytest.raises(NotResumable):
            await Runner.resume(helper, session=session, approve=[asked.id])
    assert await session.pending_approvals() == [asked]
    assert clerk.ran == {"look": 1}
    result = await Runner.resume(clerk.agent(says("paid")), session=session, approve=[asked.id])
    assert result.final_output == "paid"


@pytest.mark.parametrize("context", [{"user": 1}, ["no mapping"], {"no": object()}])
async def test_a_context_that_is_a_mapping_of_json_is_kept(
    sessions: Sessions, context: Any
) -> None:
    seen: list[Any] = []

    @function_tool(needs_approval=True)
    def pay(wrapper: agents.RunContextWrapper[Any]) -> str:
        seen.append(wrapper.context)
        return "paid"

    session = sessions.worker(session_id="s")
    helper = agent(calls("pay"), says("done"), tools=[pay])
    await Runner.run(helper, "go", session=session, context=context)
    (asked,) = await session.pending_approvals()
    if context != {"user": 1}:
        with pytest.raises(UsageError, match="context="):
            await Runner.resume(helper, session=session, approve=[asked.id])
        await Runner.resume(helper, session=session, approve=[asked.id], context=context)
        assert seen == [context]
        assert seen[0] is context
    else:
        await Runner.resume(helper, session=session, approve=[asked.id])
        assert seen == [{"user": 1}]


async def test_agents_side_by_side_may_use_the_same_call_id(sessions: Sessions) -> None:
    ran: list[str] = []

    @function_tool(needs_approval=True)
    def pay(amount: int) -> str:
        ran.append(f"paid {amount}")
        return f"paid {amount}"

    def team(*replies: Any) -> Agent[Any]:
        def answer(given: list[Any]) -> Any:
            amount = next(i["content"] for i in given if i.get("role") == "user")
            if any(i.get("type") == "function_call_output" for i in given):
                return says(f"did {amount}")
            return calls("pay", "same", f'{{"amount": {amount}}}')

        cashier = agent(answer, name="cashier", tools=[pay])
        ask = cashier.as_tool("ask", "")
        return agent(*replies, name="boss", tools=[ask])

    session = sessions.worker(session_id="s")
    both = [function_call("ask", f'{{"input": "{n}"}}', call_id=f"ask_{n}") for n in (1, 2)]
    await Runner.run(team(both), "go", session=session)
    one, two = await session.pending_approvals()
    assert (one.call_id, two.call_id) == ("same", "same")
    assert (one.arguments, two.arguments) == ('{"amount": 1}', '{"amount": 2}')
    assert one.id != two.id
    there = sessions.worker(session_id="s")
    await Runner.resume(team(says("x")), session=there, reject={two.id: "no"})
    assert ran == []
    assert await there.pending_approvals() == [one]
    result = await Runner.resume(team(says("done")), session=session, approve=[one.id])
    assert result.final_output == "done"
    assert ran == ["paid 1"]
    assert outline(await session.get_items())[0] == "go"


async def test_a_state_that_is_too_large_is_not_kept(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s", max_turn_bytes=500)
    with pytest.raises(TurnTooLarge):
        await Runner.run(clerk.agent(asks("pay")), "go", session=session)
    assert await session.get_items() == []
    await session.add_items([{"role": "user", "content": "free"}])


async def test_only_our_sessions_keep_turns_that_wait(tmp_path: Path) -> None:
    foreign: Any = agents.SQLiteSession("s", tmp_path / "foreign.db")
    with pytest.raises(UsageError, match="Turnwise"):
        await Runner.resume(Clerk().agent(says("x")), session=foreign, approve=["a"])
    foreign.close()
