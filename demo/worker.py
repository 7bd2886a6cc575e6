"""A worker process: it runs any turn of any conversation, and owns none of them.

    python -m demo.worker <name>

The first line of its standard input is the configuration. Each further line dispatches a turn and
may name a call, by its `output_index`, in which the worker is to block until it is killed. The
worker reports on standard output, one JSON object a line. It exits when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, set_tracing_disabled

from demo.config import Config
from demo.model import recorded_agent
from demo.recording import RecordedCall, RecordedTurn, Recording
from turnwise import Runner, connect
from turnwise.errors import AlreadyCommitted, LeaseLost, StoreUnavailable
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session


async def work(config: Config, name: str, lines: AsyncIterator[str]) -> None:
    """Run the dispatched turns, all at the same time, until the input ends."""
    recording = Recording(config.conversations)
    workload = SimulatedWorkload(config.pace)
    agent = recorded_agent(recording, workload)
    sessions = connect(
        config.url, lease=config.lease, ttl=config.ttl, worker=name, hooks=(report_begun,)
    )
    async with sessions, asyncio.TaskGroup() as group:
        report("ready")
        tasks = set()
        async for line in lines:
            dispatched = json.loads(line)
            turn = recording.turns[dispatched["turn_id"]]
            workload.block_at[turn.id] = dispatched["block_at"]
            task = group.create_task(run_turn(turn, agent, sessions, config))
            tasks.add(task)
            task.add_done_callback(tasks.discard)
        for task in tasks:
            task.cancel()


async def run_turn(
    turn: RecordedTurn, agent: Agent[RecordedTurn], sessions: Session, config: Config
) -> None:
    """One run of the agent is one turn of the session: committed once, or not at all.

    If this process dies, the turn is retried on another worker with the same turn_id. If it was
    committed after all, it does not run again.
    """
    try:
        await Runner.run(
            agent,
            turn.input,
            session=sessions,
            session_id=config.session_id(turn.conversation),
            turn_id=turn.id,
            context=turn,
            max_turns=None,
        )
    except AlreadyCommitted:
        report("turn_completed", turn.id)
    except (LeaseLost, StoreUnavailable) as error:
        report("turn_lost", turn.id, error=str(error))
    except Exception as error:
        report("turn_failed", turn.id, error=f"{type(error).__name__}: {error}")
    else:
        report("turn_completed", turn.id)


class SimulatedWorkload:
    """Stands in for the time that model calls and tool calls take: about `pace` seconds each.

    It reports when a call starts and when it ends. Turnwise journals the start of a tool call
    before that, and its result after that.
    """

    def __init__(self, pace: float) -> None:
        self.block_at: dict[str, int | None] = {}
        self._pace = pace

    async def __call__(self, turn_id: str, call: RecordedCall) -> None:
        report("call_started", turn_id, callee=call.callee, output_index=call.output_index)
        if self.block_at.get(turn_id) == call.output_index:
            await asyncio.Event().wait()
        await asyncio.sleep(self._pace * random.uniform(0.5, 1.5))
        report("call_finished", turn_id, output_index=call.output_index)


def report_begun(event: TurnEvent) -> None:
    """A hook, which Turnwise calls with every event of a turn."""
    if isinstance(event, TurnBegunEvent):
        report("turn_begun", event.turn_id, attempt=event.attempt, journal=event.journal_entries)


def report(kind: str, turn_id: str = "", **fields: Any) -> None:
    print(json.dumps({"type": kind, "turn_id": turn_id, **fields}), flush=True)


async def standard_input() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield line.decode().strip()


async def main(name: str) -> None:
    set_tracing_disabled(True)
    lines = standard_input()
    await work(Config.from_json(await anext(lines)), name, lines)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
