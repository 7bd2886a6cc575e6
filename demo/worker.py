"""One worker process: serves any turn of any conversation, and owns none of them.

    python -m demo.worker <name>

The first line on its standard input is the setup, every further line an order: the turn to serve,
and the place of the call in which it is to `hold` until it is killed, if any. What happens is told
on standard output, as it happens, a JSON object a line. It ends when its input does.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections.abc import AsyncIterator
from typing import Any

from agents import Agent, set_tracing_disabled

from demo.model import recorded_agent
from demo.recording import RecordedCall, RecordedTurn, Recording
from demo.setup import Setup
from turnwise import Runner, connect
from turnwise.errors import AlreadyCommitted, LeaseLost, StoreUnavailable
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session


async def work(setup: Setup, name: str, orders: AsyncIterator[str]) -> None:
    """Serve the turns that are ordered, all at the same time, until no more orders come."""
    recording = Recording(setup.conversations)
    labour = Labour(setup.pace)
    agent = recorded_agent(recording, labour)
    sessions = connect(
        setup.url, lease=setup.lease, ttl=setup.ttl, worker=name, hooks=(tell_begun,)
    )
    async with sessions, asyncio.TaskGroup() as group:
        tell("ready")
        turns = set()
        async for line in orders:
            order = json.loads(line)
            turn = recording.turns[order["turn"]]
            labour.holds[turn.id] = order["hold"]
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


class Labour:
    """What calls of the model and of tools spend their time with, here about `pace` seconds.

    It is told before and after. The journal has a tool's start before, and its end only after.
    """

    def __init__(self, pace: float) -> None:
        self.holds: dict[str, int | None] = {}
        self._pace = pace

    async def __call__(self, turn_id: str, call: RecordedCall) -> None:
        tell("call", turn_id, of=call.callee, place=call.place)
        if self.holds.get(turn_id) == call.place:
            await asyncio.Event().wait()
        await asyncio.sleep(self._pace * random.uniform(0.5, 1.5))
        tell("return", turn_id, place=call.place)


def tell_begun(event: TurnEvent) -> None:
    """Turnwise tells its hooks what happens to turns."""
    if isinstance(event, TurnBegunEvent):
        tell("begun", event.turn_id, attempt=event.attempt, journal=event.journal)


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
