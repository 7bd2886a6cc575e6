"""A process whose turns never end by themselves: each blocks in a tool.

    python -m bench.blocking_turns <url> <lease> <name> <sessions> <turns of each> <start seconds>

The first turns of the sessions start evenly spread over the start seconds. The process reports
"blocked" for each turn that has reached its tool.
"""

from __future__ import annotations

import asyncio
import sys

from agents import Agent, function_tool, set_tracing_disabled

from bench.child_process import report
from bench.model import InstantModel
from turnwise import Runner, connect
from turnwise.errors import TurnCancelled
from turnwise.session import Session


@function_tool
async def block() -> str:
    """Never returns."""
    report("blocked")
    await asyncio.Event().wait()
    return ""


def blocking_agent(model: InstantModel | None = None) -> Agent[None]:
    return Agent(name="blocking", model=model or InstantModel(1, 1, block.name), tools=[block])


async def _run_turns(session: Session, session_id: str, turns: int, delay: float) -> None:
    await asyncio.sleep(delay)
    for number in range(turns):
        try:
            await Runner.run(
                blocking_agent(), "Go", session=session, session_id=session_id, turn_id=f"{number}"
            )
        except TurnCancelled:
            continue


async def main(
    url: str, lease: float, name: str, sessions: int, turns: int, start_seconds: float
) -> None:
    set_tracing_disabled(True)  # nothing collects traces here
    async with connect(url, lease=lease) as session, asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            delay = start_seconds * number / sessions
            tasks.create_task(_run_turns(session, f"{name}-{number}", turns, delay))


if __name__ == "__main__":
    _url, _lease, _name, _sessions, _turns, _start_seconds = sys.argv[1:]
    asyncio.run(
        main(_url, float(_lease), _name, int(_sessions), int(_turns), float(_start_seconds))
    )
