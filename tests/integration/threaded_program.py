"""A threaded program with one session object: `python -m tests.integration.threaded_program URL`.

Each of eight threads runs plain, streamed and background turns, on its own sessions and on one that
all share. The program fails if a history differs from what one thread alone would have left.
"""

from __future__ import annotations

import asyncio
import faulthandler
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Thread
from typing import Any

from agents import Agent, function_tool

from tests.scripted import Script, calls, outline, says
from turnwise import Runner, connect
from turnwise.runner.sync import run_until_complete
from turnwise.worker import Worker

THREADS, ROUNDS = 8, 3
FILLING = "word " * 3000
LONG = 100.0

session = connect(sys.argv[1]) if __name__ == "__main__" else connect("memory://")
together = Barrier(THREADS)


def _answer(given: list[Any]) -> Any:
    """A call of the tool, then an answer that repeats the question."""
    last = given[-1]
    if last.get("type") == "function_call_output":
        asked = [item["content"] for item in given if item.get("role") == "user"]
        return says(f"answer to {asked[-1]}")
    return calls("look_up", f"call_{len(given)}")


@function_tool
def look_up() -> str:
    """Not async, as most tools are: the SDK runs it in another thread."""
    Runner.run_sync(plain, "inside", session=session, session_id="inside a tool", timeout=LONG)
    return f"found {FILLING}"


plain: Agent[Any] = Agent(name="plain", model=Script(says("nothing")))
shared: Agent[Any] = Agent(name="shared", model=Script(_answer), tools=[look_up])


def main() -> None:
    faulthandler.enable()
    workers = [Background() for _ in range(2)]
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(work, range(THREADS)))
    for worker in workers:
        worker.end()
    asyncio.run(check())
    asyncio.run(session.aclose())
    print("all well")


class Background:
    """A worker with an event loop of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._worker = Worker(session, {"shared": shared})
        self._thread = Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._worker.run())

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._worker.stop)
        self._thread.join()


def work(thread: int) -> None:
    together.wait()
    for number in range(ROUNDS):
        asked = f"{thread}.{number} {FILLING}"
        for session_id in (f"plain {thread}", "everybody's"):
            result = Runner.run_sync(
                shared, asked, session=session, session_id=session_id, timeout=LONG
            )
            assert result.final_output == f"answer to {asked}"
        assert asyncio.run(streamed(thread, asked)) == f"answer to {asked}"
        assert run_until_complete(submitted(thread, asked)) == f"answer to {asked}"


async def streamed(thread: int, asked: str) -> object:
    """In an event loop that is closed afterwards."""
    result = Runner.run_streamed(
        shared, asked, session=session, session_id=f"streamed {thread}", timeout=LONG
    )
    async for _ in result.stream_events():
        pass
    return result.final_output


async def submitted(thread: int, asked: str) -> object:
    receipt = await session.submit(f"background {thread}", asked, agent="shared")
    async for _ in receipt.events():
        pass
    return (await receipt.result(LONG)).final_output


async def check() -> None:
    for thread in range(THREADS):
        for kind in ("plain", "streamed", "background"):
            history = outline(await session.bind(f"{kind} {thread}").get_items())
            _check_turns(history, [f"{thread}.{number} {FILLING}" for number in range(ROUNDS)])
    history = outline(await session.bind("everybody's").get_items())
    _check_turns(history, None)
    inside = outline(await session.bind("inside a tool").get_items())
    turns = THREADS * ROUNDS * 4
    assert inside == ["inside", "nothing"] * turns, inside[:10]


def _check_turns(history: Sequence[str], expected: Sequence[str] | None) -> None:
    asked = history[::4]
    assert len(history) == 4 * (THREADS * ROUNDS if expected is None else len(expected)), history[
        :10
    ]
    assert sorted(asked) == sorted(set(asked)), "a turn was committed twice"
    assert expected is None or list(asked) == list(expected)
    for start, question in zip(range(0, len(history), 4), asked, strict=True):
        _, call, output, answer = history[start : start + 4]
        assert output == f"{call.replace('call', 'output', 1)}: found {FILLING}"
        assert answer == f"answer to {question}"


if __name__ == "__main__":
    main()
