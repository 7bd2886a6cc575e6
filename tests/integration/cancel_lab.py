"""Runs that are held in a tool until they are cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import agents
import pytest
from agents import function_tool

from tests.integration.fault_lab import LONG
from tests.scripted import Reply, agent, calls, says
from turnwise import Runner
from turnwise.errors import TurnCancelled
from turnwise.session import Session


class Held:
    """A tool, or anything else, that waits until it is cancelled; `entered` once it does."""

    def __init__(self) -> None:
        self.entered = asyncio.Event()
        self.cancelled = False

    async def hold(self) -> str:
        self.entered.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        return "never"


def tools(held: Held) -> list[Any]:
    async def quick() -> str:
        return "quick is done"

    made: list[Any] = [quick, held.hold]
    return [function_tool(tool) for tool in made]


def two_calls(given: list[Any]) -> Any:
    return [*calls("quick", "c1"), *calls("hold", "c2")]


STEPS: list[Reply] = [calls("quick", "c0"), two_calls, says("never")]


WAYS = ["run", "streamed", "sdk"]


async def run(session: Session, session_id: str, desk: Any, how: str = "run") -> Any:
    if how == "sdk":
        async with session.turn(session_id, turn_id="t") as turn:
            return await agents.Runner.run(desk, "Hi", session=turn)
    if how == "run":
        return await Runner.run(desk, "Hi", session=session, session_id=session_id, turn_id="t")
    result = Runner.run_streamed(desk, "Hi", session=session, session_id=session_id, turn_id="t")
    async for _ in result.stream_events():
        pass
    return result


async def held_run(session: Session, session_id: str, held: Held, how: str) -> asyncio.Task[Any]:
    """A run that waits in a tool, with another call of the same step finished."""
    desk = agent(*STEPS, tools=tools(held))
    task = asyncio.create_task(run(session, session_id, desk, how))
    await asyncio.wait_for(held.entered.wait(), LONG)
    await asyncio.sleep(0)
    return task


async def stopped(task: asyncio.Task[Any]) -> TurnCancelled:
    with pytest.raises(TurnCancelled) as caught:
        await asyncio.wait_for(task, LONG)
    return caught.value


def named(tasks: set[str], part: str) -> set[str]:
    return {task for task in tasks if part in task}
