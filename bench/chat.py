"""Chat requests per second of one FastAPI process."""

from __future__ import annotations

import asyncio
import json

from bench.child_process import ChildProcess, child_process
from bench.samples import Sample, alternating
from bench.usage import cpu_seconds
from turnwise.testing.servers.ports import free_port

ROUTES = "none", "list", "turnwise", "sdk"
CONNECTIONS = 16
TURNS = 10  # per conversation: its history grows from 0 to 18 items

_START_TIMEOUT, _WARM_UP = 120, 0.5  # seconds


async def measure_chat(url: str, rounds: int, seconds: float) -> dict[str, dict[str, Sample]]:
    """By route: requests per second, and per second of CPU time; each round measures all routes.

    `share` and `cpu_share` compare them with the route without a session in the same round.
    """
    port = free_port()
    kinds = "rate", "cpu_rate", "share", "cpu_share"
    samples = {route: {kind: Sample() for kind in kinds} for route in ROUTES}
    async with child_process("bench.chat_app", url, port) as app:
        await wait_until_listening(app.process, port)
        async with child_process("bench.chat_load") as generator:
            load = Load(generator, port, app.process.pid)
            for route in ROUTES:
                await load.rates(f"/{route}", _WARM_UP)
            for order in alternating(ROUTES, rounds):
                found = {route: await load.rates(f"/{route}", seconds) for route in order}
                for route, rates in found.items():
                    shares = [
                        rate / baseline for rate, baseline in zip(rates, found["none"], strict=True)
                    ]
                    for kind, value in zip(kinds, (*rates, *shares), strict=True):
                        samples[route][kind].add(value)
    return samples


class Load:
    """Sends requests to a server in another process: `pid`."""

    def __init__(self, generator: ChildProcess, port: int, pid: int) -> None:
        self._generator = generator
        self._port = port
        self._pid = pid

    async def rates(self, route: str, seconds: float, known: str = "") -> tuple[float, float]:
        """Requests per second, and per second of the server's CPU time."""
        job = {
            "port": self._port,
            "route": route,
            "seconds": seconds,
            "connections": CONNECTIONS,
            "turns": TURNS,
            "known": known,
        }
        cpu = cpu_seconds(self._pid)
        served, elapsed = json.loads(await self._generator.request(json.dumps(job)))
        return served / elapsed, served / (cpu_seconds(self._pid) - cpu)


async def wait_until_listening(process: asyncio.subprocess.Process, port: int) -> None:
    """Return when the process listens at the port."""
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
