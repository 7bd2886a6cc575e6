"""A worker as a process of its own that resumes a turn which waits for approvals.

    python -m tests.integration.approval_process URL LEDGER [ID ...]

The ledger is as in `durable_process`. It prints the run's final output, or the error's name.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from agents import Agent, function_tool

from tests.integration.durable_lab import calls, says
from tests.integration.durable_process import LEASE, Book, Noting
from turnwise import Runner, TurnwiseError, connect, idempotency_key


def agent_of(book: Book) -> Agent[Any]:
    """A tool that needs no approval, then two that do, then an answer."""

    def made(name: str, asks: bool) -> Any:
        async def run() -> str:
            if book.note(f"{name} {idempotency_key()}"):
                await asyncio.Event().wait()
            return name

        return function_tool(run, name_override=name, needs_approval=asks)

    replies = calls("look"), calls("pay", "send"), says("done")
    tools = [made("look", False), made("pay", True), made("send", True)]
    return Agent(name="a", model=Noting(book, "m", *replies), tools=tools)


async def main(url: str, ledger: str, *ids: str) -> None:
    agent = agent_of(Book(Path(ledger)))
    async with connect(url, session_id="s", lease=LEASE) as session:
        try:
            result = await Runner.resume(agent, session=session, approve=ids)
        except TurnwiseError as error:
            print(type(error).__name__)
        else:
            print(result.final_output)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
