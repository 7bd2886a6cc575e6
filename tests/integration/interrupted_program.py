"""A run that waits for ever, until Ctrl-C: HOW, URL and session id are its arguments.

It prints "begun" when its tool runs, "cancelled" when that was cancelled, and "left" when the run
goes on without its reader.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from typing import Any

from agents import Agent, function_tool

from tests.scripted import agent, calls
from turnwise import Runner, connect
from turnwise.session import Session


@function_tool
async def wait() -> str:
    print("begun", flush=True)
    try:
        await asyncio.Event().wait()
    finally:
        print("cancelled", flush=True)
    return "never"


async def run(waiting: Agent[Any], session: Session) -> None:
    await Runner.run(waiting, "hi", session=session)


async def stream(waiting: Agent[Any], session: Session) -> None:
    result = Runner.run_streamed(waiting, "hi", session=session, on_disconnect="rollback")
    async for _ in result.stream_events():
        pass


async def unread(waiting: Agent[Any], session: Session) -> None:
    """The run goes on without its reader until the session is closed, and is cancelled then."""
    async with session:
        try:
            async for _ in Runner.run_streamed(waiting, "hi", session=session).stream_events():
                pass
        finally:
            print("left", flush=True)


async def block(waiting: Agent[Any], session: Session) -> None:
    async with session.turn() as turn:
        await Runner.run(waiting, "hi", session=turn)


COROUTINES = {"run": run, "stream": stream, "unread": unread, "block": block}


def main(how: str, url: str, session_id: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which a parent may have ignored
    waiting, session = agent(calls("wait"), tools=[wait]), connect(url).bind(session_id)
    if how == "run_sync":
        Runner.run_sync(waiting, "hi", session=session)
    else:
        asyncio.run(COROUTINES[how](waiting, session))


if __name__ == "__main__":
    main(*sys.argv[1:])
