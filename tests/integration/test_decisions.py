"""Deciding without running: whoever decides has no agent, and workers continue a message's turn."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Agent

from tests.integration.approval_lab import Clerk, asks, waiting
from tests.integration.background_lab import QUICK, echo, output, state, working
from tests.integration.stores import Sessions, new_sessions_of
from tests.integration.test_failed_turns import no_secrets
from tests.scripted import outline, says
from turnwise import NoPendingApproval, Runner
from turnwise.background import Policy, Receipt
from turnwise.errors import AlreadyCommitted, NotResumable, UsageError
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])

PAID = [
    "go",
    "call of_look",
    "output of_look: look done",
    "call of_pay",
    "output of_pay: pay done",
]


async def parked(session: Session, clerk: Clerk, *names: str) -> tuple[Receipt, Any]:
    """A message whose turn waits for these approvals."""
    receipt = await session.submit("s", "go", agent="clerk", turn_id="t")
    assert await session.drain("s", clerk.agent(asks("look"), asks(*names)), QUICK) == 0
    return receipt, await session.pending_approvals("s")


async def test_a_decided_turn_of_a_message_is_continued_by_a_worker(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker()
    async with working(session, clerk.agent(asks("look"), asks("pay"), says("paid"))):
        receipt = await session.submit("s", "go", agent="clerk")
        await state(receipt, "parked")
        (asked,) = await session.pending_approvals("s")
        assert await sessions.worker().decide("s", approve=[asked.id]) == []
        assert await output(receipt) == "paid"
    assert clerk.ran == {"look": 1, "pay": 1}
    assert outline(await session.bind("s").get_items()) == [*PAID, "paid"]


async def test_nothing_runs_where_it_is_decided(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker()
    receipt, (pay, send) = await parked(session, clerk, "pay", "send")
    behind = await session.submit("s", "behind", agent="echo")
    there = sessions.worker(session_id="s")
    assert await there.decide(approve=[pay.id]) == [send]
    assert await there.decide(approve=[pay.id]) == [send]
    everybody = {"clerk": clerk.agent(says("done")), "echo": echo()}
    assert await session.drain("s", everybody, QUICK) == 0
    assert await there.decide(reject={send.id: "not on my watch"}) == []
    assert await there.decide() == []
    assert await there.pending_approvals() == []
    assert (await receipt.status()).state == "parked"
    assert clerk.ran == {"look": 1}
    assert await session.drain("s", everybody, QUICK) == 2
    assert clerk.ran == {"look": 1, "pay": 1}
    assert (await output(receipt), await output(behind)) == ("done", "re: behind")
    history = outline(await session.bind("s").get_items())
    assert "output of_send: not on my watch" in history
    kinds = [event["type"] async for _, event in receipt.events()]
    ours = [kind for kind in kinds if kind.startswith("turn.")]
    assert ours == ["turn.begun", "turn.parked", "turn.resumed", "turn.finished"]


async def test_a_direct_turn_that_is_decided_is_resumed_by_whoever_has_its_agent(
    sessions: Sessions,
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    await waiting(session, clerk, "pay")
    (asked,) = await session.pending_approvals()
    await sessions.worker().decide("s", approve=[asked.id])
    behind = await session.submit(None, "behind", agent="echo")
    assert await session.drain(None, {"clerk": clerk.agent(says("x")), "echo": echo()}, QUICK) == 0
    assert clerk.ran == {"look": 1}
    result = await Runner.resume(clerk.agent(says("paid")), session=session)
    assert result.final_output == "paid"
    assert await session.drain(None, echo(), QUICK) == 1
    assert await output(behind) == "re: behind"


async def test_what_is_not_pending_cannot_be_decided(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    with pytest.raises(NoPendingApproval):
        await session.decide(approve=["a"])
    _, (asked,) = await parked(session, clerk, "pay")
    with pytest.raises(NoPendingApproval, match="other"):
        await session.decide(approve=[asked.id, "other"])
    with pytest.raises(UsageError, match="nothing is decided"):
        await session.decide()
    with pytest.raises(UsageError, match="approved and rejected"):
        await session.decide(approve=[asked.id], reject={asked.id: None})
    assert await session.pending_approvals() == [asked]
    await session.decide(approve=[asked.id])
    with pytest.raises(NoPendingApproval):
        await session.decide(reject={asked.id: "no"})
    assert await session.drain(None, clerk.agent(says("paid")), QUICK) == 1
    with pytest.raises(NoPendingApproval):
        await session.decide(approve=[asked.id])


async def test_what_comes_too_late_is_not_decided(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s", approval_timeout=0)
    result = await Runner.run(clerk.agent(asks("pay")), "go", session=session)
    assert result.interruptions
    with pytest.raises(NoPendingApproval, match="approval_timeout"):
        await session.decide(approve=["any"])
    assert clerk.ran == {}


async def test_many_who_decide_at_once_decide_once(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker()
    receipt, (asked,) = await parked(session, clerk, "pay")
    decided = await asyncio.gather(
        *(sessions.worker().decide("s", approve=[asked.id]) for _ in range(4))
    )
    assert decided == [[]] * 4
    assert await session.drain("s", clerk.agent(says("paid")), QUICK) == 1
    assert (await output(receipt), clerk.ran["pay"]) == ("paid", 1)


async def test_a_decided_turn_that_fails_is_retried_like_any_message(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker()
    receipt, (asked,) = await parked(session, clerk, "pay")
    await session.decide("s", approve=[asked.id])
    helper = clerk.agent(OSError("down"), OSError("down"), says("paid"))
    assert await session.drain("s", helper, QUICK) == 1
    assert (await output(receipt), clerk.ran["pay"]) == ("paid", 1)


async def test_after_its_attempts_it_stays_parked(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt, (asked,) = await parked(session, clerk, "pay")
    await session.decide(approve=[asked.id])
    assert await session.drain(None, clerk.agent(OSError("down")), QUICK) == 0
    assert (await receipt.status()).state == "parked"
    assert await session.drain(None, clerk.agent(says("x")), QUICK) == 0
    assert await session.dead_letters() == []
    result = await Runner.resume(clerk.agent(says("paid")), session=session)
    assert (result.final_output, clerk.ran["pay"]) == ("paid", 1)


async def test_an_error_that_each_attempt_meets_ends_it_with_what_was_done(
    sessions: Sessions,
) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt, (asked,) = await parked(session, clerk, "pay")
    await session.decide(approve=[asked.id])
    helper: Agent[Any] = clerk.agent(says("SECRET"))
    helper.output_guardrails = [no_secrets]
    assert await session.drain(None, helper, QUICK) == 1
    assert outline(await session.get_items()) == PAID
    with pytest.raises(AlreadyCommitted):
        await receipt.result(30)


async def test_a_worker_without_its_tool_leaves_it_to_others(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt, (asked,) = await parked(session, clerk, "pay")
    await session.decide(approve=[asked.id])
    older = clerk.agent(says("x"), without="pay")
    with pytest.raises(NotResumable):
        await session.drain(None, older, Policy(max_attempts=1))
    assert (await receipt.status()).state == "parked"
    assert await session.dead_letters() == []
    assert await session.drain(None, clerk.agent(says("paid")), QUICK) == 1
    assert (await output(receipt), clerk.ran["pay"]) == ("paid", 1)


async def test_a_worker_that_dies_in_it_is_replaced(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt, (asked,) = await parked(session, clerk, "pay")
    await session.decide(approve=[asked.id])
    answering = asyncio.Event()

    async def never(_: list[Any]) -> Any:
        answering.set()
        await asyncio.Event().wait()

    job = asyncio.create_task(session.drain(None, clerk.agent(never), QUICK))
    await answering.wait()
    job.cancel()
    await asyncio.wait({job})
    assert await session.drain(None, clerk.agent(says("paid")), QUICK) == 1
    assert (await output(receipt), clerk.ran["pay"]) == ("paid", 1)


async def test_an_approval_may_lead_to_another_one_there(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker(session_id="s")
    receipt, (first,) = await parked(session, clerk, "pay")
    await session.decide(approve=[first.id])
    helper = clerk.agent(asks("send"), says("all"))
    assert await session.drain(None, helper, QUICK) == 0
    (second,) = await session.pending_approvals()
    await session.decide(approve=[second.id])
    assert await session.drain(None, clerk.agent(says("all")), QUICK) == 1
    assert (await output(receipt), clerk.ran["send"]) == ("all", 1)
