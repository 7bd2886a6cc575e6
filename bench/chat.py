"""Chat requests per second of one FastAPI process."""

from __future__ import annotations

import asyncio
import json

from bench.child_process import ChildProcess, child_process
from bench.samples import Sample, alternating
from turnwise.testing.servers.ports import free_port

ROUTES = "none", "list", "turnwise", "sdk"
CONNECTIONS = 16
TURNS = 10  # per conversation: its history grows from 0 to 18 items

_START_TIMEOUT, _WARM_UP = 30, 0.5  # seconds


async def measure_chat(url: str, rounds: int, seconds: float) -> dict[str, dict[str, Sample]]:
    """By route: requests per second, and per second of CPU time; each round measures all routes.

    `share` and `cpu_share` compare them with the route without a session in the same round.
    """
    port = free_port()
    kinds = "rate", "cpu_rate", "share", "cpu_share"
    samples = {route: {kind: Sample() for kind in kinds} for route in ROUTES}
    async with child_process("bench.chat_app", url, port) as app:
        await _wait_until_listening(app.process, port)
        async with child_process("bench.chat_load", port) as load:
            for route in ROUTES:
                await _load(load, route, _WARM_UP)
            for order in alternating(ROUTES, rounds):
                found = {route: await _load(load, route, seconds) for route in order}
                for route, rates in found.items():
                    shares = [
                        rate / baseline for rate, baseline in zip(rates, found["none"], strict=True)
                    ]
                    for kind, value in zip(kinds, (*rates, *shares), strict=True):
                        samples[route][kind].add(value)
    return samples


async def _load(load: ChildProcess, route: str, seconds: float) -> tuple[float, float]:
    job = {"route": f"/{route}", "seconds": seconds, "connections": CONNECTIONS, "turns": TURNS}
    rate, cpu_rate = json.loads(await load.request(json.dumps(job)))
    return rate, cpu_rate


async def _wait_until_listening(process: asyncio.subprocess.Process, port: int) -> None:
    async with asyncio.timeout(_START_TIMEOUT):
        while process.returncode is None:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
    raise RuntimeError("the chat server exited; see its error above")
