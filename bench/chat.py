"""How many chat requests a second one FastAPI process serves."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bench.samples import Sample, alternating
from turnwise.testing.servers.ports import free_port

ROUTES = "none", "list", "turnwise", "sdk"
CONNECTIONS = 16
TURNS = 10  # of a conversation: its history grows from none to 18 items

_START_LIMIT, _WARM_UP = 30, 0.5  # seconds


async def measure_chat(url: str, rounds: int, seconds: float) -> dict[str, dict[str, Sample]]:
    """Requests by route, one after the other in each round, per second of time and of CPU time.

    `share` and `cpu_share` are of what the same round had without any session.
    """
    port = free_port()
    kinds = "rate", "cpu_rate", "share", "cpu_share"
    samples = {route: {kind: Sample() for kind in kinds} for route in ROUTES}
    async with _python("bench.chat_app", url, str(port)) as app:
        await _listening(app, port)
        async with _python("bench.chat_load", str(port)) as process:
            for route in ROUTES:
                await _load(process, route, _WARM_UP)
            for order in alternating(ROUTES, rounds):
                found = {route: await _load(process, route, seconds) for route in order}
                for route, rates in found.items():
                    shares = [rate / full for rate, full in zip(rates, found["none"], strict=True)]
                    for kind, value in zip(kinds, (*rates, *shares), strict=True):
                        samples[route][kind].add(value)
    return samples


async def _load(
    process: asyncio.subprocess.Process, route: str, seconds: float
) -> tuple[float, float]:
    job = {"route": f"/{route}", "seconds": seconds, "connections": CONNECTIONS, "turns": TURNS}
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(job).encode() + b"\n")
    answer = await process.stdout.readline()
    if not answer:
        raise RuntimeError("the load generator has ended; its error stands above")
    rate, cpu_rate = json.loads(answer)
    return rate, cpu_rate


@asynccontextmanager
async def _python(module: str, *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(_START_LIMIT):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise RuntimeError("the chat server has ended; its error stands above")
