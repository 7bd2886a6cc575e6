"""An agent is free once its run has ended and nobody holds its result."""

from __future__ import annotations

import gc
import weakref

import pytest

from tests.integration.stores import Sessions, sessions_of
from tests.scripted import agent, calls, says, weather
from turnwise import Runner

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(["memory", "sqlite"])  # Redis: the loop keeps timers for seconds


async def test_an_agent_is_released_after_its_run(sessions: Sessions) -> None:
    session = sessions.worker(session_id=sessions.new_id())
    helper = agent(calls("weather"), says("It is sunny."), tools=[weather])
    released = weakref.ref(helper)
    await Runner.run(helper, "hi", session=session)
    del helper
    gc.collect()
    assert released() is None
