"""A process whose callers wait for sessions: `python -m bench.waiting_callers <url>`.

Each command is a session id and how many callers are to wait for that session. The process reports
"begun" for each turn that begins, and "ended" for each turn that has ended.
"""

from __future__ import annotations

import asyncio
import sys

from bench.child_process import read_command, report
from turnwise import connect
from turnwise.hooks import TurnBegunEvent, TurnEvent
from turnwise.session import Session


def _report_begun(event: TurnEvent) -> None:
    if isinstance(event, TurnBegunEvent):
        report("begun")


async def _wait(session: Session, session_id: str) -> None:
    async with session.turn(session_id, timeout=None):
        pass
    report("ended")


async def main(url: str) -> None:
    report("ready")
    async with connect(url, hooks=(_report_begun,)) as session, asyncio.TaskGroup() as tasks:
        while command := (await read_command()).split():
            session_id, callers = command
            for _ in range(int(callers)):
                tasks.create_task(_wait(session, session_id))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
