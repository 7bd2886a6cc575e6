"""Turns of one process that another one cancels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.cancel_owner import Owner
from tests.integration.fault_lab import message
from tests.integration.forked import Forks
from tests.scripted import agent, outline, says
from turnwise import Runner, connect
from turnwise.errors import TurnCancelled
from turnwise.session import Session

WHY = "the user \u2713 closed the page"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def session(url: str, tmp_path: Path) -> AsyncIterator[Session]:
    """As this process has it."""
    async with connect(url, session_id=tmp_path.name) as session:
        yield session


@pytest.fixture
def owner(forked: Forks, url: str, tmp_path: Path) -> Owner:
    return Owner(forked, url, tmp_path)


async def is_cancelled(session: Session) -> None:
    with pytest.raises(TurnCancelled, match=WHY) as caught:
        await Runner.run(agent(says("again")), "Hi", session=session, turn_id="t")
    assert caught.value.reason == WHY
    assert (await session.status(None, "t")).reason == WHY


async def test_cancelled(owner: Owner, session: Session) -> None:
    await owner.begin("waits")
    found = await session.cancel(reason=WHY)
    assert (found.outcome, found.turn_id, found.running_tools) == ("cancelled", "t", ())
    assert await owner.ended() == ("TurnCancelled", 2)
    assert owner.reason == WHY
    assert await session.get_items() == []
    await is_cancelled(session)


@pytest.mark.parametrize("how", ["stalled", "paused", "killed"])
async def test_an_owner_that_does_not_answer(owner: Owner, session: Session, how: str) -> None:
    """What it does later is not committed, and it asks its model no more."""
    await owner.begin("stalls" if how == "stalled" else "waits")
    await owner.strike(how)
    found = await session.cancel(timeout=0.2, reason=WHY)
    assert (found.outcome, found.running_tools) == ("forced", None)
    await Runner.run(agent(says("yes")), "on", session=session)
    if how != "killed":
        owner.resume()
        assert await owner.ended() == ("TurnCancelled", 2)
        assert owner.reason == WHY
    assert outline(await session.get_items()) == ["on", "yes"]
    await is_cancelled(session)


@pytest.mark.parametrize("how", ["stalled", "paused"])
async def test_a_worker_that_lost_its_lease(owner: Owner, session: Session, how: str) -> None:
    """Its run is cancelled before its next model call, and commits nothing."""
    await session.add_items([message("before")])  # an empty session is gone when its turn is dead
    await owner.begin("stalls" if how == "stalled" else "waits", lease=0.5)
    await owner.strike(how)
    await Runner.run(agent(says("yes")), "on", session=session)
    owner.resume()
    assert await owner.ended() == ("LeaseLost", 2)
    assert outline(await session.get_items()) == ["before", "on", "yes"]
