"""How many chat requests a second one FastAPI process serves."""

from __future__ import annotations

import asyncio
import json

from bench.children import Child, child
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
    async with child("bench.chat_app", url, port) as app:
        await _listening(app.process, port)
        async with child("bench.chat_load", port) as load:
            for route in ROUTES:
                await _load(load, route, _WARM_UP)
            for order in alternating(ROUTES, rounds):
                found = {route: await _load(load, route, seconds) for route in order}
                for route, rates in found.items():
                    shares = [rate / full for rate, full in zip(rates, found["none"], strict=True)]
                    for kind, value in zip(kinds, (*rates, *shares), strict=True):
                        samples[route][kind].add(value)
    return samples


async def _load(load: Child, route: str, seconds: float) -> tuple[float, float]:
    job = {"route": f"/{route}", "seconds": seconds, "connections": CONNECTIONS, "turns": TURNS}
    rate, cpu_rate = json.loads(await load.answer(json.dumps(job)))
    return rate, cpu_rate


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
