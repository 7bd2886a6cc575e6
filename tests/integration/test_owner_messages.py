"""Messages of sessions that belong to somebody."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import echo, output, state, texts, working
from tests.integration.fault_lab import message
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise import SessionGone, SessionTaken, UsageError
from turnwise.background import Message, Policy
from turnwise.errors import NoPendingApproval
from turnwise.session import Session

sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def test_a_worker_answers_the_owner_and_nobody_else(sessions: Sessions) -> None:
    asked = list[Message]()

    def context(given: Message) -> None:
        asked.append(given)

    alice, bob = (sessions.worker().for_owner(name) for name in ("alice", "bob"))
    receipt = await alice.submit("s", "hello", agent="echo", turn_id="t")
    async with working(sessions.worker(), echo(), policy=Policy(context=context)):
        assert await output(receipt) == "re: hello"
        assert [event["type"] async for _, event in receipt.events()][-1] == "turn.finished"
        unowned = await sessions.worker().submit("free", "hi", agent="echo")
        await output(unowned)
    assert [each.owner for each in asked] == ["alice", None]
    assert texts(await alice.bind("s").get_items()) == ["hello", "re: hello"]
    for foreign in (bob.receipt("s", "t"), bob.receipt("free", unowned.turn_id)):
        assert (await foreign.status()).state == "unknown"
        for after in (None, "1-0"):
            seen = list[str]()
            with pytest.raises(SessionGone):
                async for _, event in foreign.events(after):
                    seen.append(event["type"])
            assert set(seen) <= {"turn.reset"}
    operator = sessions.worker().receipt("s", "t")
    assert [event["type"] async for _, event in operator.events()][-1] == "turn.finished"


async def test_two_owners_may_use_the_same_turn_id(sessions: Sessions) -> None:
    session = sessions.worker()
    owners = {name: session.for_owner(name) for name in ("alice", "bob")}
    receipts = [
        await each.submit(name, f"I am {name}", agent="echo", turn_id="t")
        for name, each in owners.items()
    ]
    async with working(sessions.worker(), echo()):
        answers = await asyncio.gather(*map(output, receipts))
    assert answers == ["re: I am alice", "re: I am bob"]
    with pytest.raises(SessionGone):
        await owners["alice"].receipt("bob", "t").result(5)


async def test_a_parked_message_goes_on_for_its_owner_only(sessions: Sessions) -> None:
    clerk, session = Clerk(), sessions.worker()
    alice, bob = (session.for_owner(name) for name in ("alice", "bob"))
    receipt = await alice.submit("s", "go", agent="clerk", turn_id="t")
    async with working(sessions.worker(), clerk.agent(asks("pay"), says("paid"))):
        await state(receipt, "parked")
        (pending,) = await alice.pending_approvals("s")
        with pytest.raises(NoPendingApproval):
            await bob.decide("s", approve=[pending.id])
        assert clerk.ran == {}
        assert await alice.decide("s", approve=[pending.id]) == []
        assert await output(receipt) == "paid"
    kinds = [event["type"] async for _, event in receipt.events()]
    assert kinds.index("turn.parked") < kinds.index("turn.resumed") < kinds.index("turn.finished")


async def dead(sessions: Sessions, alice: Session) -> Any:
    """The dead letter of a message of alice's."""

    async def fail(_: str) -> None:
        raise RuntimeError("no")

    receipt = await alice.submit("s", "hello", agent="echo", turn_id="t")
    policy = Policy(max_attempts=1)
    async with working(sessions.worker(), echo(fail), policy=policy):
        await state(receipt, "dead")
    (letter,) = await sessions.worker().dead_letters()
    assert letter.owner == "alice"
    return letter


async def test_a_retry_makes_a_deleted_session_anew_for_its_owner(sessions: Sessions) -> None:
    operator = sessions.worker()
    alice = operator.for_owner("alice")
    letter = await dead(sessions, alice)
    await operator.delete("s")
    await operator.retry_dead_letter(letter.id)
    async with working(sessions.worker(), echo()):
        assert await output(alice.receipt("s", "t")) == "re: hello"


async def test_a_retry_does_not_enter_another_owner_s_session(sessions: Sessions) -> None:
    operator = sessions.worker()
    alice, bob = (operator.for_owner(name) for name in ("alice", "bob"))
    letter = await dead(sessions, alice)
    await operator.delete("s")
    await bob.bind("s").add_items([message("mine")])
    with pytest.raises(SessionTaken):
        await operator.retry_dead_letter(letter.id)
    assert await bob.queue("s") == []
    assert [each.id for each in await operator.dead_letters()] == [letter.id]


async def test_code_of_a_turn_does_not_wait_for_it_by_another_view(sessions: Sessions) -> None:
    session = sessions.worker()
    async with session.for_owner("alice").turn("s", turn_id="t") as turn:
        await turn.add_items([message("hi")])
        for view in (session, session.for_owner("alice")):
            receipt = await view.submit("s", "next", agent="echo")
            with pytest.raises(UsageError, match="wait for itself"):
                await receipt.result()
