"""Readers of a streamed run, and the ways in which they go away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import aclosing
from typing import Any, cast

import anyio
import pytest
from agents import Agent, RunResultStreaming, Tool, function_tool

from tests.scripted import agent, calls, outline, says
from turnwise import Runner
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

STEPS = ["hi", "call call_1", "output call_1: done", "It is done."]
LONG = 20.0
Reader = Callable[[RunResultStreaming], Coroutine[Any, Any, None]]


class Halting:
    """An agent whose tool says that it has begun, and ends when it is let go."""

    def __init__(self, *more: Tool) -> None:
        self.begun, self.go_on = asyncio.Event(), asyncio.Event()

        @function_tool
        async def work() -> str:
            self.begun.set()
            await self.go_on.wait()
            return "done"

        replies = calls("work"), *([calls("broken", "call_2")] if more else []), says("It is done.")
        self.agent: Agent[Any] = agent(*replies, tools=[work, *more])

    def streamed(self, session: Session, **options: Any) -> RunResultStreaming:
        return Runner.run_streamed(self.agent, "hi", session=session, **options)


async def until_idle(session: Session) -> list[str]:
    """The history once no turn is open any more."""

    async def is_idle() -> bool:
        info = await session.info()
        return info is None or info.open_turn is None

    await until(is_idle, LONG, "the turn ended")
    return outline(await session.get_items())


async def read(result: RunResultStreaming) -> None:
    async for _ in result.stream_events():
        pass


async def read_and_hold(result: RunResultStreaming) -> None:
    """Its client is slow: it is cancelled between two events."""
    async for _ in result.stream_events():
        await asyncio.Event().wait()


async def read_closing(result: RunResultStreaming) -> None:
    async with aclosing(cast(Any, result.stream_events())) as events:
        await anext(events)
        await asyncio.Event().wait()


async def read_for_response(result: RunResultStreaming) -> None:
    """As web frameworks do: the stream is read by another iterator."""

    async def body() -> AsyncIterator[str]:
        async for event in result.stream_events():
            yield event.type

    async for _ in body():
        pass


READERS: list[Reader] = [read, read_and_hold, read_closing, read_for_response]


async def cancelled(reading: Coroutine[Any, Any, None]) -> None:
    task = asyncio.create_task(reading)
    await asyncio.sleep(0)
    yield_to = asyncio.Event()
    asyncio.get_running_loop().call_soon(yield_to.set)
    await yield_to.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def cancelled_by_scope(reading: Coroutine[Any, Any, None]) -> None:
    """anyio cancels again and again until its scope is left."""
    async with anyio.create_task_group() as group:
        group.start_soon(lambda: reading)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        group.cancel_scope.cancel()


async def timed_out(reading: Coroutine[Any, Any, None]) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await reading


WAYS = [cancelled, cancelled_by_scope, timed_out]
