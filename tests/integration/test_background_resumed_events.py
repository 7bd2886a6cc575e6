"""The events of a background turn continue after an approval, up to its end."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agents import RunState

from tests.integration.approval_lab import Clerk, asks
from tests.integration.background_lab import state
from tests.integration.stores import Sessions, new_sessions_of
from tests.scripted import says
from turnwise import Runner
from turnwise.approvals import find_parked
from turnwise.background import Receipt
from turnwise.errors import TurnCancelled
from turnwise.session import Session

Published = list[tuple[str, dict[str, Any]]]


sessions = new_sessions_of(["memory", "sqlite", "valkey"])


class Follower:
    """Somebody who follows a turn's events from another process, to their end."""

    def __init__(self, receipt: Receipt) -> None:
        self.events: Published = []
        self._task = asyncio.create_task(self._follow(receipt))

    async def _follow(self, receipt: Receipt) -> None:
        async for event in receipt.events():
            self.events.append(event)

    async def ended(self) -> list[str]:
        """What was published: the names of a run's items, and the turn's own events."""
        await asyncio.wait_for(self._task, 30)
        return outline(self.events)


def outline(published: Published) -> list[str]:
    events = [event for _, event in published if not event["type"].startswith(("raw_", "agent_"))]
    return [str(event.get("name", event["type"])) for event in events]


TILL_IT_WAITS = ["turn.begun", "tool_called", "tool_output", "tool_called", "turn.parked"]
TO_THE_END = ["turn.resumed", "tool_output", "message_output_created", "turn.finished"]


async def waiting(sessions: Sessions, clerk: Clerk, *names: str) -> tuple[Session, Follower, str]:
    """A message's turn that waits, who follows it, and the id of what it asks for."""
    session = sessions.worker(session_id="s")
    receipt = await session.submit("s", "go", agent="clerk", turn_id="t")
    follower = Follower(sessions.worker().receipt("s", "t"))
    await session.drain("s", clerk.agent(asks("look"), asks(*names)))
    await state(receipt, "parked")
    asked = await session.pending_approvals()
    return session, follower, asked[0].id


async def resume(streamed: bool, agent: Any, session: Session, *ids: str) -> None:
    if not streamed:
        await Runner.resume(agent, session=session, approve=ids)
        return
    result = await Runner.resume_streamed(agent, session=session, approve=ids)
    async for _ in result.stream_events():
        pass


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_follower_sees_it_parked_resumed_and_finished(
    sessions: Sessions, streamed: bool
) -> None:
    clerk = Clerk()
    _, follower, asked = await waiting(sessions, clerk, "pay")
    await resume(streamed, clerk.agent(says("paid")), sessions.worker(session_id="s"), asked)
    assert await follower.ended() == TILL_IT_WAITS + TO_THE_END
    assert follower.events[-1][1]["state"] == "committed"
    receipt = sessions.worker().receipt("s", "t")
    assert [event async for event in receipt.events()] == follower.events
    cursor, _ = follower.events[-3]
    assert [event async for event in receipt.events(after=cursor)] == follower.events[-2:]


@pytest.mark.parametrize("streamed", [False, True])
async def test_it_may_wait_again_and_again(sessions: Sessions, streamed: bool) -> None:
    clerk = Clerk()
    session, follower, asked = await waiting(sessions, clerk, "pay")
    await resume(streamed, clerk.agent(asks("send")), session, asked)
    (again,) = await session.pending_approvals()
    there = sessions.worker(session_id="s")
    await resume(not streamed, clerk.agent(says("sent")), there, again.id)
    between = ["turn.resumed", "tool_output", "tool_called", "turn.parked"]
    assert await follower.ended() == TILL_IT_WAITS + between + TO_THE_END


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_failed_resumption_is_published_and_the_next_one_follows_it(
    sessions: Sessions, streamed: bool
) -> None:
    clerk = Clerk()
    session, follower, asked = await waiting(sessions, clerk, "pay")
    with pytest.raises(RuntimeError):
        await resume(streamed, clerk.agent(RuntimeError("no model")), session, asked)
    await resume(streamed, clerk.agent(says("paid")), sessions.worker(session_id="s"))
    names = await follower.ended()
    assert names[-4:] == TO_THE_END
    failed = names[len(TILL_IT_WAITS) : -4]
    assert (failed[0], failed[-1]) == ("turn.resumed", "turn.retry")
    assert clerk.ran["pay"] == 1


async def test_a_stream_that_nobody_reads_is_published(sessions: Sessions) -> None:
    clerk = Clerk()
    _, follower, asked = await waiting(sessions, clerk, "pay")
    there = sessions.worker(session_id="s")
    unread = await Runner.resume_streamed(clerk.agent(says("p")), session=there, approve=[asked])
    assert await follower.ended() == TILL_IT_WAITS + TO_THE_END
    assert unread.final_output == "p"


async def test_a_resumption_by_the_sdk_is_published(sessions: Sessions) -> None:
    clerk = Clerk()
    session, follower, _ = await waiting(sessions, clerk, "pay")
    helper = clerk.agent(says("paid"))
    parked = await find_parked(session.runtime, "s")
    assert parked is not None
    own: RunState[Any] = await RunState.from_json(helper, parked.entry.state)
    own.approve(own.get_interruptions()[0])
    result = Runner.run_streamed(helper, own, session=sessions.worker(session_id="s"))
    async for _ in result.stream_events():
        pass
    assert (await follower.ended())[-4:] == TO_THE_END


async def test_a_cancelled_resumption_is_published_as_the_turn_s_end(
    sessions: Sessions,
) -> None:
    clerk, asked_model = Clerk(), asyncio.Event()
    _, follower, asked = await waiting(sessions, clerk, "pay")

    async def stall(given: list[Any]) -> Any:
        asked_model.set()
        await asyncio.Event().wait()

    there = sessions.worker(session_id="s")
    resuming = asyncio.create_task(
        Runner.resume(clerk.agent(stall), session=there, approve=[asked])
    )
    await asked_model.wait()
    await sessions.worker().cancel("s", "t")
    with pytest.raises(TurnCancelled):
        await resuming
    assert (await follower.ended())[len(TILL_IT_WAITS) :] == ["turn.resumed", "turn.finished"]
    assert follower.events[-1][1]["state"] == "cancelled"
