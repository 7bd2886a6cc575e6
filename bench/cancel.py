"""How soon a turn of another process is ended, and what a line of 100 waiting callers costs.

    python -m bench.cancel [ROUNDS]

Starts a Valkey server and a worker process, whose turns wait in a tool. Prints milliseconds from
the call of `cancel` to its answer, when the turn has ended; the same on SQLite; then the commands
a second while 100 callers wait for one session, and milliseconds from one turn's end to the next
one's begin.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from typing import Any

from agents import Agent, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, function_call
from redis.asyncio import Redis

from turnwise import Runner, connect
from turnwise.errors import TurnCancelled
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer

SESSION, WAITING, WATCHED = "s", 100, 10.0


async def own(url: str, rounds: int) -> None:
    """The worker: turn after turn, each of which has to be cancelled."""

    set_tracing_disabled(True)  # there is nobody to send traces to

    @function_tool
    async def hold() -> str:
        print("in", flush=True)
        await asyncio.Event().wait()
        return ""

    async with connect(url) as session:
        for number in range(rounds):
            model = ScriptedModel([[function_call("hold", {}, call_id="c")]])
            agent = Agent(name="held", model=model, tools=[hold])
            try:
                await Runner.run(
                    agent, "Hi", session=session, session_id=SESSION, turn_id=f"{number}"
                )
            except TurnCancelled:
                continue


async def cancel_latency(url: str, rounds: int) -> list[float]:
    command = sys.executable, "-m", "bench.cancel", "own", url, str(rounds)
    worker = await asyncio.create_subprocess_exec(*command, stdout=PIPE)
    assert worker.stdout is not None
    found: list[float] = []
    async with connect(url) as session:
        for _ in range(rounds):
            await worker.stdout.readline()
            begun = time.perf_counter()
            outcome = (await session.cancel(SESSION)).outcome
            found.append((time.perf_counter() - begun) * 1000)
            assert outcome == "cancelled", outcome
    await worker.wait()
    return found


class Line:
    """Callers that wait for one session, one behind the other."""

    def __init__(self, session: Session) -> None:
        self.delays: list[float] = []
        self._session = session
        self._ended: float | None = None

    async def turn(self) -> None:
        async with self._session.turn(SESSION, timeout=None):
            if self._ended is not None:
                self.delays.append((time.perf_counter() - self._ended) * 1000)
        self._ended = time.perf_counter()

    async def full(self) -> None:
        while (info := await self._session.info(SESSION)) is None or info.queued < WAITING:
            await asyncio.sleep(0.05)


async def line_of_waiters(url: str) -> tuple[float, float, list[float]]:
    """Calls of scripts and all commands a second while they wait, and the delays (ms)."""
    async with connect(url) as holder, connect(url) as session, Redis.from_url(url) as client:
        line = Line(session)
        async with holder.turn(SESSION):
            callers = [asyncio.create_task(line.turn()) for _ in range(WAITING)]
            await line.full()
            before = await _counts(client)
            await asyncio.sleep(WATCHED)
            after = await _counts(client)
        await asyncio.gather(*callers)
    scripts, commands = ((b - a) / WATCHED for a, b in zip(before, after, strict=True))
    return scripts, commands, line.delays


async def _counts(client: Any) -> tuple[int, int]:
    info = await client.info("commandstats")
    calls = {name: stats["calls"] for name, stats in info.items()}
    return calls.get("cmdstat_evalsha", 0), sum(calls.values())


def told(samples: Sequence[float]) -> str:
    ordered = sorted(samples)
    at = {name: ordered[int(share * (len(ordered) - 1))] for name, share in _SHARES.items()}
    return " · ".join(f"{name} {value:.1f} ms" for name, value in at.items())


_SHARES = {"median": 0.5, "90 %": 0.9, "99 %": 0.99, "worst": 1.0}


async def main(rounds: int) -> None:
    async with ValkeyServer() as server:
        print(f"cancel, Valkey, n={rounds}: {told(await cancel_latency(server.url, rounds))}")
        with tempfile.TemporaryDirectory() as folder:
            found = await cancel_latency(f"sqlite:///{folder}/sessions.db", rounds)
        print(f"cancel, SQLite, n={rounds}: {told(found)}")
        scripts, commands, delays = await line_of_waiters(server.url)
    print(f"{WAITING} waiting: {scripts:.0f} calls/s ({commands:.0f} commands/s inside included)")
    print(f"next in line begins after: {told(delays)}")


if __name__ == "__main__":
    if sys.argv[1:2] == ["own"]:
        asyncio.run(own(sys.argv[2], int(sys.argv[3])))
    else:
        asyncio.run(main(int(sys.argv[1]) if sys.argv[1:] else 100))
