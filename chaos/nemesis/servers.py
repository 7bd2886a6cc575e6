"""Faults of servers that lose nothing: a single one writes all it acknowledges to its disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from chaos.history import Fault
from chaos.nemesis.fault import Field, Strike
from turnwise.testing.servers import Node


class KillServer(Strike):
    """SIGKILL, and a restart from its append-only file."""

    kind = "server killed"

    async def strike(self, field: Field, fault: Fault) -> None:
        server = field.topology.server
        await server.kill()
        await field.sleep(0.0, 1.5 * field.lease)
        await server.restart()


class RestartServer(Strike):
    """SIGTERM, and a restart."""

    kind = "server restarted"
    weight = 0.5

    async def strike(self, field: Field, fault: Fault) -> None:
        await field.topology.server.restart()


class PauseServer(Strike):
    """SIGSTOP, below or beyond the lease."""

    kind = "server paused"

    async def strike(self, field: Field, fault: Fault) -> None:
        field.topology.server.pause()
        try:
            await field.sleep(0.1 * field.lease, 2 * field.lease)
        finally:
            field.topology.server.resume()


async def _everywhere(field: Field, *words: str | int) -> None:
    """On every server; one that is down does not matter."""
    for node in field.topology.servers():
        with suppress(RedisError, OSError):
            await node.command(*words)


class FlushScripts(Strike):
    """No server knows any script."""

    kind = "scripts flushed"

    async def strike(self, field: Field, fault: Fault) -> None:
        for _ in range(5):
            await _everywhere(field, "SCRIPT", "FLUSH")
            await field.sleep(0.0, 0.05)


class CutClients(Strike):
    """Every connection is cut by the server."""

    kind = "connections killed by the server"

    async def strike(self, field: Field, fault: Fault) -> None:
        for _ in range(3):
            await _everywhere(field, "CLIENT", "KILL", "TYPE", "normal")
            await _everywhere(field, "CLIENT", "KILL", "TYPE", "pubsub")
            await field.sleep(0.0, 0.1)


class LowMemory(Strike):
    """maxmemory is set low, and back."""

    kind = "maxmemory set low"
    weight = 0.7

    async def strike(self, field: Field, fault: Fault) -> None:
        await _everywhere(field, "CONFIG", "SET", "maxmemory", 1_000)
        try:
            await field.sleep(0.1, 0.6)
        finally:
            await _calm(field.topology.servers())


async def _calm(nodes: list[Node]) -> None:
    """It has to be set back, whatever else goes on."""
    for node in nodes:
        while node.alive:
            try:
                await node.command("CONFIG", "SET", "maxmemory", 0)
                break
            except (RedisError, OSError):
                await asyncio.sleep(0.1)


class StepClock(Strike):
    """The server's clock is set forth or back, and right again."""

    kind = "clock stepped"

    async def strike(self, field: Field, fault: Fault) -> None:
        step = field.rng.choice([-3600, -5, 5, 60])
        fault.note = f"{step:+} s"
        rate = field.topology.rate
        rate.write_text(f"{step:+}")
        try:
            await asyncio.sleep(1.5)  # it is looked at once a second
        finally:
            rate.write_text("+0")
            await asyncio.sleep(1.2)
