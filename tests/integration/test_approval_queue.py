"""Callers in the queue learn at once that the turn before them was parked."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import Agent, RunResult, function_tool

from tests.integration.approval_lab import agent, asks
from tests.integration.stores import KINDS, Sessions, new_sessions_of
from tests.scripted import says
from turnwise import Runner
from turnwise.errors import ApprovalPending
from turnwise.session import Session
from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.testing.servers.waiting import until
from turnwise.turns import acquire
from turnwise.types import Info

NEVER, PATIENCE = 90.0, 30.0
sessions = new_sessions_of(KINDS)


@pytest.fixture(autouse=True)
def _nobody_asks_by_himself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers in the queue ask again when they are woken, and not by the clock."""
    monkeypatch.setattr(acquire, "_POLL_INTERVAL", NEVER)
    monkeypatch.setattr(EmbeddedStore, "_max_wait", NEVER)


class Desk:
    """An agent with two tools that need approval; the first takes until it may end."""

    def __init__(self) -> None:
        self.at_work, self.may_end = asyncio.Event(), asyncio.Event()

    def agent(self, *replies: Any) -> Agent[Any]:
        async def slow() -> str:
            self.at_work.set()
            await self.may_end.wait()
            return "slow done"

        def quick() -> str:
            return "quick done"

        tools = [function_tool(run, needs_approval=True) for run in (slow, quick)]
        return agent(*replies, name="desk", tools=tools)


async def in_line(session: Session, callers: int) -> None:
    async def queued() -> bool:
        info = await session.runtime.store.info("s")
        return isinstance(info, Info) and info.queued == callers

    await until(queued, PATIENCE, f"{callers} in the queue")


async def test_of_two_who_resume_at_once_the_second_goes_on_when_the_first_parks(
    sessions: Sessions,
) -> None:
    one, two = (sessions.worker(session_id="s", lease=NEVER) for _ in range(2))
    desk = Desk()
    await Runner.run(desk.agent(asks("slow", "quick")), "go", session=one)
    slow, quick = await one.pending_approvals()

    async def resumed(session: Session, asked: str) -> RunResult:
        return await Runner.resume(desk.agent(says("over")), session=session, approve=[asked])

    async with asyncio.timeout(PATIENCE):
        first = asyncio.create_task(resumed(one, slow.id))
        await desk.at_work.wait()
        second = asyncio.create_task(resumed(two, quick.id))
        await in_line(one, 1)
        desk.may_end.set()
        halfway, final = await asyncio.gather(first, second)
    assert [item.name for item in halfway.interruptions] == ["quick"]
    assert (final.interruptions, final.final_output) == ([], "over")


async def test_callers_in_the_queue_get_approval_pending_when_a_turn_is_parked(
    sessions: Sessions,
) -> None:
    one, two = (sessions.worker(session_id="s", lease=NEVER) for _ in range(2))
    may_ask = asyncio.Event()

    async def reply(_: Any) -> Any:
        await may_ask.wait()
        return asks("quick")

    async def begun(session: Session) -> None:
        with pytest.raises(ApprovalPending):
            async with session.turn(timeout=NEVER):
                pytest.fail("a turn was begun in a session that waits")

    async def first() -> bool:
        info = await one.runtime.store.info("s")
        return isinstance(info, Info) and info.open_turn is not None

    async with asyncio.timeout(PATIENCE):
        run = asyncio.create_task(Runner.run(Desk().agent(reply), "go", session=one))
        await until(first, PATIENCE, "the turn has begun")
        waiting = [asyncio.create_task(begun(session)) for session in (one, two, two)]
        await in_line(one, len(waiting))
        may_ask.set()
        await asyncio.gather(run, *waiting)
    await in_line(one, 0)
