"""Runs where no event loop runs yet, or no longer."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agents import function_tool

from tests.scripted import agent, calls, echo, outline, says, script_of
from turnwise import MemorySession, Runner, SQLiteSession
from turnwise.errors import UsageError
from turnwise.session import Session


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """The thread's loop, as a program without asyncio of its own has it."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield loop
    asyncio.set_event_loop(None)
    loop.close()


def test_runs_follow_each_other(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    session = SQLiteSession(tmp_path / "s.db", session_id="s")
    helper = agent(echo)
    assert Runner.run_sync(helper, "one", session=session).final_output == "1 items"
    assert Runner.run_sync(helper, "two", session=session, turn_id="t").final_output == "3 items"
    again = Runner.run_sync(helper, "two", session=session, turn_id="t")
    assert again.final_output == "3 items"
    assert len(script_of(helper).asked) == 2
    history = loop.run_until_complete(session.get_items())
    assert outline(history) == ["one", "1 items", "two", "3 items"]
    loop.run_until_complete(session.aclose())


def test_without_a_session_it_is_the_sdks(loop: asyncio.AbstractEventLoop) -> None:
    assert Runner.run_sync(agent(says("hello")), "hi").final_output == "hello"


def test_a_turn_that_waits_is_resumed(loop: asyncio.AbstractEventLoop, tmp_path: Path) -> None:
    @function_tool(needs_approval=True)
    def pay() -> str:
        return "paid"

    session = SQLiteSession(tmp_path / "s.db", session_id="s")
    helper = agent(calls("pay"), says("done"), tools=[pay])
    assert len(Runner.run_sync(helper, "go", session=session).interruptions) == 1
    (asked,) = loop.run_until_complete(session.pending_approvals())
    result = Runner.resume_sync(helper, session=session, approve=[asked.id])
    assert result.final_output == "done"
    assert loop.run_until_complete(session.pending_approvals()) == []
    loop.run_until_complete(session.aclose())


async def test_a_resume_is_refused_where_a_loop_runs() -> None:
    with pytest.raises(UsageError, match=r"await Runner\.resume"):
        Runner.resume_sync(agent(), session=MemorySession(session_id="s"))


async def test_it_is_refused_where_a_loop_runs() -> None:
    with pytest.raises(UsageError, match=r"await Runner\.run"):
        Runner.run_sync(agent(), "hi", session=MemorySession(session_id="s"))


def test_an_interrupt_from_the_keyboard_rolls_back(loop: asyncio.AbstractEventLoop) -> None:
    @function_tool
    async def wait() -> str:
        def interrupt() -> None:
            raise KeyboardInterrupt

        loop.call_soon(interrupt)
        await asyncio.Event().wait()
        return "never"

    session = MemorySession(session_id="s")
    with pytest.raises(KeyboardInterrupt):
        Runner.run_sync(agent(calls("wait"), tools=[wait]), "hi", session=session)
    assert loop.run_until_complete(session.info()) is None


@pytest.mark.parametrize("read", [True, False])
def test_a_loop_that_closes_in_mid_run_rolls_back(tmp_path: Path, read: bool) -> None:
    @function_tool
    async def wait() -> str:
        started.set()
        await asyncio.Event().wait()
        return "never"

    started = asyncio.Event()

    async def leave_in_mid_run() -> Session:
        session = await _known(tmp_path)
        helper = agent(calls("wait"), tools=[wait])
        result = Runner.run_streamed(helper, "hi", session=session)
        reader = asyncio.create_task(_drain(result)) if read else None
        await started.wait()
        assert reader is None or not reader.done()
        info = await session.info()
        assert info is not None
        assert info.open_turn is not None
        return session

    async def look() -> None:
        async with SQLiteSession(tmp_path / "s.db", session_id="s") as session:
            info = await session.info()
            assert info is not None
            assert info.open_turn is None
            assert outline(await session.get_items()) == ["before"]

    left = asyncio.run(leave_in_mid_run())
    asyncio.run(look())
    asyncio.run(left.aclose())


async def _known(path: Path) -> Session:
    session = SQLiteSession(path / "s.db", session_id="s")
    await session.add_items([{"role": "user", "content": "before"}])
    return session


async def _drain(result: Any) -> None:
    async for _ in result.stream_events():
        pass


@pytest.mark.parametrize("begun", [False, True])
def test_what_ctrl_c_struck_at_once_is_not_carried_on_by_the_next_run(
    loop: asyncio.AbstractEventLoop, monkeypatch: pytest.MonkeyPatch, begun: bool
) -> None:
    """It may come between the lines that make the run's task, or before there is one."""
    session = MemorySession()
    create_task = loop.create_task

    def interrupted(work: Any) -> Any:
        monkeypatch.undo()
        if begun:
            create_task(work)
        raise KeyboardInterrupt

    monkeypatch.setattr(loop, "create_task", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Runner.run_sync(agent(says("struck")), "struck", session=session, session_id="s")
    assert asyncio.all_tasks(loop) == set()
    Runner.run_sync(agent(says("next")), "next", session=session, session_id="other")
    assert loop.run_until_complete(session.bind("s").get_items()) == []
    loop.run_until_complete(session.aclose())
