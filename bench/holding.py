"""A process whose turns never end by themselves: each waits in a tool.

    python -m bench.holding <url> <lease> <name> <sessions> <turns of each> <seconds to begin them>

Says "held" for each turn that is in its tool.
"""

from __future__ import annotations

import asyncio
import sys

from agents import Agent, function_tool, set_tracing_disabled

from bench.children import say
from bench.model import InstantModel
from turnwise import Runner, connect
from turnwise.errors import TurnCancelled
from turnwise.session import Session


@function_tool
async def hold() -> str:
    """Waits for ever."""
    say("held")
    await asyncio.Event().wait()
    return ""


def holding_agent(model: InstantModel | None = None) -> Agent[None]:
    return Agent(name="holding", model=model or InstantModel(1, 1, hold.name), tools=[hold])


async def _turns(session: Session, session_id: str, turns: int, pause: float) -> None:
    await asyncio.sleep(pause)
    for number in range(turns):
        try:
            await Runner.run(
                holding_agent(), "Go", session=session, session_id=session_id, turn_id=f"{number}"
            )
        except TurnCancelled:
            continue


async def main(
    url: str, lease: float, name: str, sessions: int, turns: int, seconds: float
) -> None:
    set_tracing_disabled(True)  # there is nobody to send traces to
    async with connect(url, lease=lease) as session, asyncio.TaskGroup() as tasks:
        for number in range(sessions):
            pause = seconds * number / sessions
            tasks.create_task(_turns(session, f"{name}-{number}", turns, pause))


if __name__ == "__main__":
    _url, _lease, _name, _sessions, _turns_of_each, _seconds = sys.argv[1:]
    asyncio.run(
        main(_url, float(_lease), _name, int(_sessions), int(_turns_of_each), float(_seconds))
    )
