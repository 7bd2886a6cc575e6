"""A background worker process: `python -m bench.background_worker <url> <lease>`.

It works from a command "start", which it answers with "ready", to a command "stop", which it
answers with "stopped". It reports "begun" and "committed" with the turn_id of each turn, "blocked"
for a turn in the tool that never returns, and "model-called" when such a turn calls its model.
"""

from __future__ import annotations

import asyncio
import sys
from functools import partial

from agents import Agent, set_tracing_disabled

from bench.blocking_turns import block, blocking_agent
from bench.child_process import read_command, report
from bench.model import InstantModel
from turnwise import connect
from turnwise.cli.loading import freeze_garbage_collector
from turnwise.hooks import TurnBegunEvent, TurnCommittedEvent, TurnEvent
from turnwise.worker import Worker


def _report_turn(event: TurnEvent) -> None:
    if isinstance(event, TurnBegunEvent):
        report("begun", event.turn_id)
    elif isinstance(event, TurnCommittedEvent):
        report("committed", event.turn_id)


async def main(url: str, lease: float) -> None:
    set_tracing_disabled(True)
    freeze_garbage_collector()  # as the worker command does
    model_called = partial(report, "model-called")
    agents = [
        Agent(name="instant", instructions="Answer.", model=InstantModel()),
        blocking_agent(InstantModel(1, 1, block.name, model_called)),
    ]
    async with connect(url, lease=lease, hooks=(_report_turn,)) as session:
        while await read_command() == "start":
            worker = Worker(session, agents)
            report("ready")
            task = asyncio.create_task(worker.run())
            await read_command()
            worker.stop()
            await task
            report("stopped")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], float(sys.argv[2])))
