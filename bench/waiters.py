"""A process whose callers wait for sessions: `python -m bench.waiters <url>`.

Each line of its input is a job: a session and how many callers are to wait for it. It says "begun"
for each turn that begins and "ended" for each that has ended.
"""

from __future__ import annotations

import asyncio
import sys

from bench.children import heard, say
from turnwise import connect
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session


def _tell(event: TurnEvent) -> None:
    if isinstance(event, TurnBegunEvent):
        say("begun")


async def _wait(session: Session, session_id: str) -> None:
    async with session.turn(session_id, timeout=None):
        pass
    say("ended")


async def main(url: str) -> None:
    say("ready")
    async with connect(url, hooks=(_tell,)) as session, asyncio.TaskGroup() as tasks:
        while job := (await heard()).split():
            session_id, callers = job
            for _ in range(int(callers)):
                tasks.create_task(_wait(session, session_id))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
