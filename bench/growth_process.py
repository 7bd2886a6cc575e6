"""A process that is asked again and again: `python -m bench.growth_process <url> <kind> <number>`.

It works in parts of that number, and reports its resident memory after each.
"""

from __future__ import annotations

import asyncio
import gc
import os
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import agents
from agents import Agent, function_tool, set_tracing_disabled

from bench.child_process import report
from bench.growth import AGENTS, MESSAGES, PARTS, SDK_AGENTS, SESSIONS
from bench.history import HistoryGenerator
from bench.model import InstantModel
from bench.usage import resident_bytes
from turnwise import Runner, connect
from turnwise.session import Session
from turnwise.worker import Worker

CALLERS = 32
_CACHE = 1024 * 1024  # soon full, whatever the number
_USER_ITEMS, _AGENT_ITEMS = HistoryGenerator().turn()


async def _session(session: Session, number: int) -> None:
    """Every second session stays empty: it is only looked at."""
    bound = session.bind(f"growth-{number}")
    if number % 2:
        await bound.get_items()
        return
    async with session.turn(bound.session_id) as turn:
        await turn.get_items()
        await turn.add_items(_USER_ITEMS)
        await turn.add_items(_AGENT_ITEMS)


async def _message(session: Session, number: int) -> None:
    receipt = await session.submit(f"growth-message-{number}", "Go", agent="instant")
    await receipt.result()


def _agent_of_request() -> Agent[None]:
    """As a web app makes it that knows its user only in the request: classes and all."""

    class Model(InstantModel):
        """Of this request."""

    class RequestAgent(Agent[None]):
        """Of this request."""

    @function_tool
    async def look_up() -> str:
        """Takes no time."""
        return "found"

    return RequestAgent(name="request", model=Model(1, 1, look_up.name), tools=[look_up])


async def _agent(session: Session, number: int) -> None:
    await Runner.run(
        _agent_of_request(), "Go", session=session, session_id=f"growth-agent-{number}"
    )


async def _sdk_agent(_session: Session, _number: int) -> None:
    await agents.Runner.run(_agent_of_request(), "Go")


_REQUESTS = {SESSIONS: _session, MESSAGES: _message, AGENTS: _agent, SDK_AGENTS: _sdk_agent}


async def main(url: str, kind: str, number: int) -> None:
    set_tracing_disabled(True)
    request = _REQUESTS[kind]
    async with connect(url, cache_bytes=_CACHE) as session, _worker(session, kind):
        for part in range(PARTS):
            numbers = iter(range(part * number, (part + 1) * number))

            async def caller(numbers: Iterator[int] = numbers) -> None:
                for each in numbers:
                    await request(session, each)

            await asyncio.gather(*(caller() for _ in range(CALLERS)))
            gc.collect()
            report("resident", resident_bytes(os.getpid()))


@asynccontextmanager
async def _worker(session: Session, kind: str) -> AsyncIterator[None]:
    """Answers the messages, if there are any."""
    worker = Worker(session, Agent(name="instant", model=InstantModel()))
    working = asyncio.create_task(worker.run()) if kind == MESSAGES else None
    yield
    worker.stop()
    if working is not None:
        await working


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
