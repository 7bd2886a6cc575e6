"""A session stopped at a message: what callers get, and what its letter ends, outdated or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import echo
from tests.integration.fault_lab import until_queued
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise import PendingApproval, Runner
from turnwise.background import DeadLetter, Policy, dead_letters
from turnwise.contracts import Store
from turnwise.errors import SessionStopped, UsageError
from turnwise.session import Session
from turnwise.turns import all_sessions
from turnwise.types import SessionSummary

STOP = Policy(max_attempts=1, on_dead="stop")


sessions = new_sessions_of(["memory", "sqlite", "valkey"])


async def fail(message: str) -> None:
    raise RuntimeError("no such thing")


async def stopped(session: Session) -> DeadLetter:
    await session.submit("s", "go", agent="clerk", turn_id="t")
    await session.drain("s", [echo(fail, name="clerk")], STOP)
    (letter,) = [letter async for letter in session.stopped_sessions()]
    return letter


async def waiting_by_now(session: Session, letter: DeadLetter, clerk: Clerk) -> PendingApproval:
    """Retry the message: its run asks for an approval."""
    await session.retry_dead_letter(letter)
    await session.drain("s", clerk.agent(asks("look"), asks("pay")), STOP)
    (asked,) = await session.pending_approvals("s")
    return asked


async def goes_on(sessions: Sessions, clerk: Clerk, asked: PendingApproval) -> None:
    there = sessions.worker(session_id="s")
    result = await Runner.resume(clerk.agent(says("paid")), session=there, approve=[asked.id])
    assert result.final_output == "paid"


async def test_callers_of_a_stopped_session_get_an_error_that_says_so(sessions: Sessions) -> None:
    session = sessions.worker()
    letter = await stopped(session)
    agent = echo(name="clerk")
    there = sessions.worker(session_id="s")
    receipt = session.receipt("s", "t")
    for call in (
        Runner.run(agent, "hi", session=there),
        Runner.run(agent, "hi", session=there, busy="reject"),
        Runner.run(agent, "hi", session=there, busy="interrupt"),
        Runner.run(agent, "go", session=there, turn_id="t"),
        there.add_items([{"role": "user", "content": "hi"}]),
        there.clear_session(),
        session.submit("s", "hi", agent="clerk", busy="reject"),
        session.submit("s", "hi", agent="clerk", busy="rollback"),
    ):
        with pytest.raises(SessionStopped, match=r"session 's': .*retry_dead_letter"):
            await call
    assert await session.pending_approvals("s") == []
    assert (await receipt.status()).state == "stopped"
    info = await session.info("s")
    assert info is not None
    assert info.open_turn is not None
    assert info.open_turn.state == "stopped"
    await session.delete_dead_letter(letter)
    assert (await Runner.run(agent, "hi", session=there)).final_output


async def act(session: Session, name: str, letter: DeadLetter | str) -> None:
    await (session.delete_dead_letter if name == "drop" else session.retry_dead_letter)(letter)


@pytest.mark.parametrize("name", ["drop", "retry"])
async def test_a_turn_that_is_parked_for_an_approval_stays_parked(
    sessions: Sessions, name: str
) -> None:
    session, clerk = sessions.worker(), Clerk()
    letter = await stopped(session)
    asked = await waiting_by_now(session, letter, clerk)
    with pytest.raises(UsageError, match="no longer stopped at this dead letter"):
        await act(sessions.worker(), name, letter)
    await goes_on(sessions, clerk, asked)


@pytest.mark.parametrize("name", ["drop", "retry"])
async def test_a_turn_that_is_parked_meanwhile_stays_parked(
    sessions: Sessions, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was stopped when it was looked up by its id, and is not when its turn is ended."""
    session, clerk = sessions.worker(), Clerk()
    letter = await stopped(session)
    asked = await waiting_by_now(session, letter, clerk)

    async def looked_before(worker: Any, session_id: str) -> DeadLetter:
        return letter

    with monkeypatch.context() as earlier:
        earlier.setattr(dead_letters, "_stopped_at", looked_before)
        with pytest.raises(UsageError, match="no longer stopped at this dead letter"):
            await act(sessions.worker(), name, letter.id)
    assert await session.pending_approvals("s") == [asked]
    await goes_on(sessions, clerk, asked)


async def test_an_outdated_dead_letter_does_not_end_a_new_stop(
    sessions: Sessions,
) -> None:
    session = sessions.worker()
    first = await stopped(session)
    await session.retry_dead_letter(first)
    await session.drain("s", [echo(fail, name="clerk")], STOP)
    with pytest.raises(UsageError, match="no longer stopped at this dead letter"):
        await session.delete_dead_letter(first)
    (second,) = [letter async for letter in session.stopped_sessions()]
    assert second.attempts == 2
    await session.delete_dead_letter(second)
    assert [letter async for letter in session.stopped_sessions()] == []


async def test_a_run_that_is_enqueued_waits_behind_the_stop(sessions: Sessions) -> None:
    session, agent = sessions.worker(), echo(name="clerk")
    letter = await stopped(session)
    there = sessions.worker(session_id="s")
    run = asyncio.create_task(
        Runner.run(agent, "hi", session=there, turn_id="behind", busy="enqueue")
    )
    await until_queued(session, "s", 2)  # behind the message that the session is stopped at
    await session.delete_dead_letter(letter)
    await session.drain("s", [agent], STOP)
    assert (await run).final_output == "re: hi"


async def test_a_scan_that_lists_a_session_twice(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = sessions.worker()
    letter = await stopped(session)

    async def twice(store: Store) -> AsyncIterator[SessionSummary]:
        for _ in range(2):
            async for found in all_sessions(store):
                yield found

    monkeypatch.setattr("turnwise.background.dead_letters.all_sessions", twice)
    assert [found.id async for found in session.stopped_sessions()] == [letter.id]
