"""Server faults that lose no write: a single server syncs all that it acknowledges to disk."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from redis.exceptions import RedisError

from chaos.history import Fault
from chaos.nemesis.kind import FaultContext, FaultKind
from turnwise.testing.servers import Node


class KillServer(FaultKind):
    """SIGKILL, then a restart from the append-only file."""

    name = "server killed"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        server = context.topology.server
        await server.kill()
        await context.sleep(0.0, 1.5 * context.lease)
        await server.restart()


class RestartServer(FaultKind):
    """SIGTERM, then a restart."""

    name = "server restarted"
    weight = 0.5

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        await context.topology.server.restart()


class PauseServer(FaultKind):
    """SIGSTOP, for less or more than a lease."""

    name = "server paused"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        context.topology.server.pause()
        try:
            await context.sleep(0.1 * context.lease, 2 * context.lease)
        finally:
            context.topology.server.resume()


async def _on_all_servers(context: FaultContext, *words: str | int) -> None:
    """Send a command to every server that is up."""
    for node in context.topology.servers():
        with suppress(RedisError, OSError):
            await node.command(*words)


class FlushScripts(FaultKind):
    """SCRIPT FLUSH on all servers."""

    name = "scripts flushed"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        for _ in range(5):
            await _on_all_servers(context, "SCRIPT", "FLUSH")
            await context.sleep(0.0, 0.05)


class KillConnections(FaultKind):
    """CLIENT KILL of all connections."""

    name = "connections killed by the server"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        for _ in range(3):
            await _on_all_servers(context, "CLIENT", "KILL", "TYPE", "normal")
            await _on_all_servers(context, "CLIENT", "KILL", "TYPE", "pubsub")
            await context.sleep(0.0, 0.1)


class ReloadNginx(FaultKind):
    """Deploys the load balancer anew; open streams go on in its old process."""

    name = "nginx reloaded"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        context.topology.nginx.reload()


class LimitMemory(FaultKind):
    """Sets maxmemory low, then removes the limit."""

    name = "maxmemory set low"
    weight = 0.7

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        await _on_all_servers(context, "CONFIG", "SET", "maxmemory", 1_000)
        try:
            await context.sleep(0.1, 0.6)
        finally:
            await _unlimit_memory(context.topology.servers())


async def _unlimit_memory(nodes: list[Node]) -> None:
    """Remove the limit, even if the server fails meanwhile."""
    for node in nodes:
        while node.alive:
            try:
                await node.command("CONFIG", "SET", "maxmemory", 0)
                break
            except (RedisError, OSError):
                await asyncio.sleep(0.1)


class StepClock(FaultKind):
    """Steps the server's clock forward or back, then corrects it."""

    name = "clock stepped"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        step = context.rng.choice([-3600, -5, 5, 60])
        fault.note = f"{step:+} s"
        clock_file = context.topology.clock_file
        clock_file.write_text(f"{step:+}")
        try:
            await asyncio.sleep(1.5)  # libfaketime reads it once a second
        finally:
            clock_file.write_text("+0")
            await asyncio.sleep(1.2)
