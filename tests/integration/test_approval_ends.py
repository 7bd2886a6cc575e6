"""How a parked turn resumes or ends: streams, the caller's own state, messages, cancels, expiry."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import agents
import pytest

from tests.integration.approval_lab import Clerk, agent, asks, waiting
from tests.integration.fault_lab import LONG, HookRecorder
from tests.integration.stores import KINDS, Sessions, new_sessions_of
from tests.scripted import outline, says
from turnwise import NoPendingApproval, Policy, Runner
from turnwise.errors import (
    AlreadyCommitted,
    ApprovalPending,
    ReplayMismatch,
    StoreUnavailable,
    TurnCancelled,
)
from turnwise.session import Session
from turnwise.testing.servers.waiting import until
from turnwise.turns.approval_timeout import NOT_APPROVED

sessions = new_sessions_of(KINDS)


class Down(agents.RunHooks[Any]):
    """The database that a tool's hook asks is down."""

    async def on_tool_start(self, *_: Any) -> None:
        raise OSError("down")


async def test_a_stream_is_parked_and_is_resumed_as_one(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    streamed = Runner.run_streamed(clerk.agent(asks("look"), asks("pay")), "go", session=session)
    async for _ in streamed.stream_events():
        pass
    assert [item.name for item in streamed.interruptions] == ["pay"]
    (asked,) = await session.pending_approvals()
    there = sessions.worker(session_id="s")
    result = await Runner.resume_streamed(
        clerk.agent(says("paid")), session=there, approve=[asked.id]
    )
    names = [e.name async for e in result.stream_events() if e.type == "run_item_stream_event"]
    assert names == ["tool_output", "message_output_created"]
    assert clerk.ran == {"look": 1, "pay": 1}
    assert len(await session.get_items()) == 6
    with pytest.raises(NoPendingApproval):
        await Runner.resume_streamed(clerk.agent(says("x")), session=there, approve=[asked.id])


async def test_a_stream_that_is_cancelled_after_the_approval_stays_parked(
    sessions: Sessions,
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay")
    (asked,) = await session.pending_approvals()
    result = await Runner.resume_streamed(
        clerk.agent(says("x")), session=session, approve=[asked.id]
    )
    result.cancel()
    async for _ in result.stream_events():
        pass
    final = await Runner.resume(clerk.agent(says("paid")), session=session)
    assert final.final_output == "paid"
    assert clerk.ran["pay"] <= 1


async def test_the_sdk_s_own_way_of_resuming_resumes_the_turn(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    asked = await waiting(session, clerk, "pay", turn_id="t")
    helper = clerk.agent(says("paid"))
    state = await agents.RunState.from_string(helper, asked.to_state().to_string())
    state.approve(state.get_interruptions()[0])
    result = await Runner.run(helper, state, session=sessions.worker(), session_id="s")
    assert result.final_output == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}
    assert len(await session.get_items()) == 6
    assert await session.pending_approvals() == []


async def test_the_sdk_s_own_way_runs_the_tool_once_too(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    asked = await waiting(session, clerk, "pay")

    async def resumed(worker: Session) -> Any:
        helper = clerk.agent(says("paid"))
        state = await agents.RunState.from_string(helper, asked.to_state().to_string())
        state.approve(state.get_interruptions()[0])
        return await Runner.run(helper, state, session=worker, session_id="s")

    results = await asyncio.gather(
        *(resumed(sessions.worker()) for _ in range(3)), return_exceptions=True
    )
    assert clerk.ran == {"look": 1, "pay": 1}, results
    assert len([result for result in results if isinstance(result, agents.RunResult)]) == 1
    assert len(await session.get_items()) == 6


async def test_a_parked_turn_can_be_cancelled(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay", turn_id="t")
    (asked,) = await session.pending_approvals()
    await sessions.worker().cancel("s")
    assert await session.pending_approvals() == []
    with pytest.raises(NoPendingApproval):
        await Runner.resume(clerk.agent(says("x")), session=session, approve=[asked.id])
    with pytest.raises(TurnCancelled):
        await Runner.run(clerk.agent(says("x")), "go", session=session, turn_id="t")
    assert outline(await session.get_items()) == []


@pytest.mark.parametrize("how", ["run", "add", "submit"])
async def test_an_expired_parked_turn_ends_as_not_approved(sessions: Sessions, how: str) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s", approval_timeout=0)
    await waiting(session, clerk, "pay", "send", turn_id="t")
    there = sessions.worker(session_id="s")
    assert await there.pending_approvals() == []
    with pytest.raises(NoPendingApproval):
        await Runner.resume(clerk.agent(says("x")), session=there, approve=["any"])
    if how == "run":
        await Runner.run(clerk.agent(says("ok")), "else", session=there)
    elif how == "add":
        await there.add_items([{"role": "user", "content": "else"}])
    else:
        await there.submit("s", "else", agent="clerk")
        assert await there.drain("s", clerk.agent(says("ok"))) == 1
    assert clerk.ran == {"look": 1}
    history = outline(await there.get_items())
    assert history[:7] == [
        "go",
        "call of_look",
        "output of_look: look done",
        "call of_pay",
        "call of_send",
        f"output of_pay: {NOT_APPROVED}",
        f"output of_send: {NOT_APPROVED}",
    ]
    assert history[7:] == ["else", "ok"][: len(history) - 7]
    with pytest.raises(AlreadyCommitted):
        await Runner.run(clerk.agent(says("x")), "go", session=there, turn_id="t")


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_deployment_that_lacks_a_tool_cannot_resume_and_loses_nothing(
    sessions: Sessions, streamed: bool
) -> None:
    async def resume(helper: agents.Agent[Any], **decisions: Any) -> Any:
        if not streamed:
            return await Runner.resume(helper, session=session, **decisions)
        result = await Runner.resume_streamed(helper, session=session, **decisions)
        async for _ in result.stream_events():
            pass
        return result

    clerk, recorder = Clerk(), HookRecorder()
    session = sessions.worker(session_id="s", hooks=(recorder,))
    await waiting(session, clerk, "pay", turn_id="t")
    (asked,) = await session.pending_approvals()
    with pytest.raises(OSError, match="down"):
        await resume(clerk.agent(asks("look", again="_2"), OSError("down")), approve=[asked.id])
    for _ in range(2):
        with pytest.raises(
            ReplayMismatch, match=r"stays parked.*look, pay had run.*cancel"
        ) as raised:
            await resume(clerk.agent(says("x"), without="send"))
        assert raised.value.tools == ["look", "pay"]
        assert (await session.status("s", "t")).state == "parked"
    assert recorder.names.count("TurnParkedEvent") == 2
    assert recorder.names.count("TurnLostEvent") == 2
    result = await resume(clerk.agent(says("paid")))
    assert result.final_output == "paid"
    assert clerk.ran == {"look": 2, "pay": 1}
    assert outline(await session.get_items())[-2:] == ["output of_look_2: look done", "paid"]


@pytest.mark.parametrize("way", ["resume", "state"])
async def test_what_was_decided_in_time_is_done_later_and_the_rest_is_not(
    sessions: Sessions, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A resume that decided one of two calls failed, and then the time was over."""
    clerk, session = Clerk(), sessions.worker(session_id="s", approval_timeout=60)
    result = await waiting(session, clerk, "pay", "send", turn_id="t")
    first, second = await session.pending_approvals()
    broken = clerk.agent(says("x"))
    if way == "resume":
        with pytest.raises(agents.UserError, match="down"):
            await Runner.resume(broken, session=session, approve=[first.id], hooks=Down())
    else:
        state = await agents.RunState.from_string(broken, result.to_state().to_string())
        state.approve(state.get_interruptions()[0])
        with pytest.raises(agents.UserError, match="down"):
            await Runner.run(broken, state, session=session, hooks=Down())
    assert await session.pending_approvals() == [second]
    later = SimpleNamespace(time=lambda: time.time() + 120)
    monkeypatch.setattr("turnwise.turns.approval_timeout.time", later)
    there = sessions.worker(session_id="s")
    assert await there.pending_approvals() == []
    with pytest.raises(ApprovalPending):
        await Runner.run(clerk.agent(says("x")), "else", session=there)
    with pytest.raises(NoPendingApproval):
        await Runner.resume(clerk.agent(says("x")), session=there, approve=[second.id])
    assert clerk.ran == {"look": 1}
    final = await Runner.resume(clerk.agent(says("paid")), session=there)
    assert final.final_output == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}
    history = outline(await there.get_items())
    assert sorted(history[-3:-1]) == ["output of_pay: pay done", f"output of_send: {NOT_APPROVED}"]
    await Runner.run(clerk.agent(says("ok")), "else", session=there)


async def test_an_expired_turn_that_cannot_be_ended_now_is_reported_as_lost(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def out_of_order(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("down")

    async def waits_again() -> bool:
        return (await session.status("s", "t")).state == "parked"

    clerk, recorder = Clerk(), HookRecorder()
    session = sessions.worker(session_id="s", approval_timeout=0, hooks=(recorder,), lease=0.2)
    await waiting(session, clerk, "pay", turn_id="t")
    with monkeypatch.context() as patched, pytest.raises(StoreUnavailable):
        patched.setattr(session.runtime.store, "commit", out_of_order)
        await session.add_items([{"role": "user", "content": "else"}])
    assert recorder.names[2:4] == ["TurnBegunEvent", "TurnLostEvent"]
    await until(waits_again, LONG, "its lease ran out")
    await session.add_items([{"role": "user", "content": "else"}])
    assert recorder.names[5:] == ["TurnBegunEvent", "TurnCommittedEvent"] * 2
    assert outline(await session.get_items())[-2:] == [f"output of_pay: {NOT_APPROVED}", "else"]


async def test_a_message_s_turn_is_parked_and_resumed(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt = await session.submit("s", "go", agent="clerk")
    await session.submit("s", "next", agent="clerk", turn_id="u")
    await session.drain("s", clerk.agent(asks("look"), asks("pay")))
    (asked,) = await session.pending_approvals()
    assert asked.turn_id == receipt.turn_id
    there = sessions.worker(session_id="s")
    result = await Runner.resume(clerk.agent(says("paid")), session=there, approve=[asked.id])
    assert result.final_output == "paid"
    assert await there.drain("s", clerk.agent(says("ok"))) == 1
    assert clerk.ran == {"look": 1, "pay": 1}
    assert outline(await session.get_items())[-3:] == ["paid", "next", "ok"]


async def test_a_message_that_failed_meanwhile_has_no_pending_approval(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`resume` saw its turn open; it was dead-lettered before it could begin."""
    session = sessions.worker(session_id="s")
    seen: list[Any] = []

    async def fails() -> str:
        seen.append(await session.runtime.store.info("s"))
        raise OSError("down")

    tool = agents.function_tool(fails, failure_error_function=None)
    clerk = agent(asks("fails"), tools=[tool], name="clerk")
    await session.submit("s", "go", agent="clerk", turn_id="t")
    await session.drain("s", clerk, Policy(max_attempts=1))

    async def info(session_id: str) -> Any:
        return seen[0]

    monkeypatch.setattr(session.runtime.store, "info", info)
    with pytest.raises(NoPendingApproval, match="it has ended"):
        await Runner.resume(clerk, session=session)
