"""A background worker as a process: `python -m bench.serving <url> <lease>`.

It works from a line "go" of its input, which it answers with "ready", to a line "stop", which it
answers with "stopped". It says for each turn "begun" and "committed" with its turn_id, "held" for
one that is in a tool that never ends, and "asked" when the model of such a turn is called.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from agents import Agent, set_tracing_disabled

from bench.children import heard, say
from bench.holding import hold, holding_agent
from bench.model import InstantModel
from turnwise import connect
from turnwise.cli.worker import let_what_is_loaded_be
from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent, TurnEvent
from turnwise.worker import Worker


def _tell(event: TurnEvent) -> None:
    if isinstance(event, TurnBegunEvent):
        say("begun", event.turn_id)
    elif isinstance(event, TurnCommittedEvent):
        say("committed", event.turn_id)


async def main(url: str, lease: float) -> None:
    set_tracing_disabled(True)
    let_what_is_loaded_be()  # as the worker command does
    asked = partial(say, "asked")
    serving = [
        Agent(name="instant", instructions="Answer.", model=InstantModel()),
        holding_agent(InstantModel(1, 1, hold.name, asked)),
    ]
    async with connect(url, lease=lease, hooks=(_tell,)) as session:
        while await heard() == "go":
            worker = Worker(session, serving)
            say("ready")
            working = asyncio.create_task(worker.run())
            await heard()
            worker.stop()
            await working
            say("stopped")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
