"""One worker process: serves any turn of any conversation, and owns none of them.

    python -m demo.worker <name>

The first line on its standard input is the setup, every further line the id of a turn to serve.
What happens is told on standard output, a JSON object a line. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, set_tracing_disabled

from demo.model import recorded_agent
from demo.recording import RecordedTurn, Recording
from demo.setup import Setup
from turnwise import Runner, connect
from turnwise.errors import AlreadyCommitted, LeaseLost, StoreUnavailable
from turnwise.hooks import TurnBegun, TurnEvent
from turnwise.session import Session


async def work(setup: Setup, name: str, orders: AsyncIterator[str]) -> None:
    """Serve the turns that are ordered, all at the same time, until no more orders come."""
    recording = Recording(setup.conversations)
    agent = recorded_agent(recording, setup.pace, tell_call)
    sessions = connect(
        setup.url, lease=setup.lease, ttl=setup.ttl, worker=name, hooks=(tell_begun,)
    )
    async with sessions, asyncio.TaskGroup() as group:
        tell("ready")
        turns = set()
        async for turn_id in orders:
            turn = recording.turns[turn_id]
            task = group.create_task(serve(turn, agent, sessions, setup))
            turns.add(task)
            task.add_done_callback(turns.discard)
        for task in turns:
            task.cancel()


async def serve(
    turn: RecordedTurn, agent: Agent[RecordedTurn], sessions: Session, setup: Setup
) -> None:
    """One run of the agent is one turn of the session: committed once, or not at all.

    Should this process die, whoever sent the turn sends it again, to any other worker, with the
    same turn_id. If it had been committed after all, it does not run a second time.
    """
    try:
        await Runner.run(
            agent,
            turn.input,
            session=sessions,
            session_id=setup.session_id(turn.conversation),
            turn_id=turn.id,
            context=turn,
            max_turns=None,
        )
    except AlreadyCommitted:
        tell("served", turn.id)
    except (LeaseLost, StoreUnavailable) as error:
        tell("lost", turn.id, reason=str(error))
    except Exception as error:
        tell("failed", turn.id, reason=f"{type(error).__name__}: {error}")
    else:
        tell("served", turn.id)


def tell_call(turn_id: str, callee: str) -> None:
    """The model or a tool is being called, in this process."""
    tell("call", turn_id, of=callee)


def tell_begun(event: TurnEvent) -> None:
    """Turnwise tells its hooks what happens to turns."""
    if isinstance(event, TurnBegun):
        tell("begun", event.turn_id, attempt=event.attempt, waited=event.waited)


def tell(what: str, turn: str = "", **more: Any) -> None:
    print(json.dumps({"what": what, "turn": turn, **more}), flush=True)


async def standard_input() -> AsyncIterator[str]:
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async for line in reader:
        yield line.decode().strip()


async def main(name: str) -> None:
    set_tracing_disabled(True)
    lines = standard_input()
    await work(Setup.from_json(await anext(lines)), name, lines)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
