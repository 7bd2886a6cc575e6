"""A worker as a process of its own: it runs one turn, and writes down what it really does.

    python durable_process.py URL LEDGER HOW

The ledger is a file to which every model call and tool appends a line before it does anything.
A line "hold <what>" in the file `LEDGER.holds` makes that step wait until the process is killed.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import agents
from agents import Agent, function_tool

from tests.integration.durable_lab import Ledger, Output, Sage, calls, read, says
from turnwise import Runner, connect, idempotency_key
from turnwise.session import Session

LEASE = 2.0


class Book:
    """The ledger of all processes together."""

    def __init__(self, path: Path) -> None:
        self._path = path
        holds = path.with_suffix(".holds")
        self._hold = holds.read_text() if holds.exists() else ""

    def note(self, what: str) -> bool:
        """Write it down; whether to wait for the end."""
        with self._path.open("a") as file:
            file.write(f"{what}\n")
        return what.split(maxsplit=1)[0] == self._hold


def agent_of(book: Book) -> Agent[Any]:
    """Two tools at the same time, then an agent as a tool, then an answer."""

    def made(name: str) -> Any:
        async def run() -> str:
            if book.note(f"{name} {idempotency_key()}"):
                await asyncio.Event().wait()
            return name

        return function_tool(run, name_override=name)

    def model(name: str, *replies: Output) -> Sage:
        return Noting(book, name, *replies)

    inner = Agent(
        name="inner", model=model("inner", calls("three"), says("inner")), tools=[made("three")]
    )
    tools: list[Any] = [made("one"), made("two"), inner.as_tool("ask", "")]
    replies = calls("one", "two"), calls("ask", input="x"), says("done")
    return Agent(name="a", model=model("m", *replies), tools=tools)


class Noting(Sage):
    """Writes each call down before it answers."""

    def __init__(self, book: Book, name: str, *replies: Output) -> None:
        super().__init__(Ledger(), name, *replies)
        self._book = book

    async def get_response(self, *args: Any, **options: Any) -> Any:
        response = await super().get_response(*args, **options)
        if self._book.note(f"model-{response.response_id}"):
            await asyncio.Event().wait()
        return response

    async def stream_response(self, *args: Any, **options: Any) -> Any:
        events: list[Any] = [event async for event in super().stream_response(*args, **options)]
        if self._book.note(f"model-{events[-1].response.id}"):
            yield events[0]
            await asyncio.Event().wait()
        for event in events:
            yield event


async def work(session: Session, agent: Agent[Any], how: str) -> str:
    if how == "streamed":
        result: Any = Runner.run_streamed(agent, "go", session=session, turn_id="t")
        await read(result)
    elif how == "sdk":
        async with session.turn(turn_id="t") as turn:
            result = await agents.Runner.run(agent, "go", session=turn)
    else:
        result = await Runner.run(agent, "go", session=session, turn_id="t")
    return str(result.final_output)


async def main(url: str, ledger: str, how: str) -> None:
    async with connect(url, session_id="s", lease=LEASE) as session:
        print(await work(session, agent_of(Book(Path(ledger))), how))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
