"""Calls of one response that run side by side: what has ended counts when another one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import closing
from typing import Any

import agents
import pytest
from agents import Agent, RunHooks, function_tool
from agents.testing import function_call

from tests.integration.stores import KINDS, Sessions, sessions_of
from tests.scripted import agent, outline, says
from turnwise import Runner
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")
sessions = sessions_of(KINDS)
A_WHILE = 20
"""Steps of the event loop that a write takes: more than the SDK needs to cancel a call."""


def slow_journal(session: Session) -> Callable[..., Any]:
    """A session's journal whose writes take a while."""
    write = session.runtime.store.journal

    async def written_slowly(*args: Any) -> Any:
        for _ in range(A_WHILE):
            await asyncio.sleep(0)
        return await write(*args)

    return written_slowly


async def outcome(session: Any, make: Callable[[], Agent[Any]], **options: Any) -> list[str]:
    """What the history holds after a run of the plain SDK, or in a turn, that fails."""
    runner = Runner if isinstance(session, Session) else agents.Runner
    keep: dict[str, Any] = {"on_error": "keep"} if isinstance(session, Session) else {}
    with pytest.raises(Exception, match="bad"):
        await runner.run(make(), "go", session=session, **keep, **options)
    return outline(await session.get_items())


async def test_a_tool_that_returned_while_the_failure_is_journaled(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = asyncio.Event()

    @function_tool
    async def good() -> str:
        await failing.wait()
        return "done"

    @function_tool(failure_error_function=None)
    async def bad() -> str:
        failing.set()
        raise OSError("bad")

    def made() -> Agent[Any]:
        failing.clear()
        both = [function_call(name, "{}", call_id=name) for name in ("good", "bad")]
        return agent(both, says("x"), tools=[good, bad])

    with closing(agents.SQLiteSession("s")) as sdk:
        expected = await outcome(sdk, made)
    session = sessions.worker(session_id=sessions.new_id())
    monkeypatch.setattr(session.runtime.store, "journal", slow_journal(session))
    assert await outcome(session, made) == expected
    assert "output good: done" in expected


async def test_a_tool_that_returned_while_a_hook_fails(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    returned = asyncio.Event()

    class Hooks(RunHooks[Any]):
        async def on_tool_start(self, context: Any, agent: Any, tool: Any) -> None:
            if tool.name == "bad":
                await returned.wait()
                await asyncio.sleep(0)
                raise OSError("bad")

    @function_tool
    async def good() -> str:
        returned.set()
        return "done"

    @function_tool
    async def bad() -> str:
        return "never"

    def made() -> Agent[Any]:
        returned.clear()
        both = [function_call(name, "{}", call_id=name) for name in ("good", "bad")]
        return agent(both, says("x"), tools=[good, bad])

    with closing(agents.SQLiteSession("s")) as sdk:
        expected = await outcome(sdk, made, hooks=Hooks())
    session = sessions.worker(session_id=sessions.new_id())
    monkeypatch.setattr(session.runtime.store, "journal", slow_journal(session))
    assert await outcome(session, made, hooks=Hooks()) == expected
    assert "output good: done" in expected
