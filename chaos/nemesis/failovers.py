"""Failovers behind the proxy, by Sentinel and in a Cluster.

Replication is asynchronous: those of the last two may lose writes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from chaos.history import Fault
from chaos.nemesis.kind import FaultContext, FaultKind
from chaos.topologies import PREFIX, Balanced
from turnwise.testing.servers import Node, ValkeyCluster, ValkeySentinel


class SentinelFailover(FaultKind):
    """A requested failover. The old primary may accept writes a moment longer, which are lost."""

    name = "failover requested from Sentinel"
    lossy = True

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        group: ValkeySentinel = context.topology.group
        await group.failover()
        await group.wait_ready()


class SentinelKill(FaultKind):
    """Kills the primary, which comes back as a replica."""

    name = "primary killed"
    lossy = True

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        group: ValkeySentinel = context.topology.group
        await group.wait_ready()
        old = await group.primary()
        await old.kill()
        try:
            await group.wait_primary_changed(old)
        finally:
            await old.restart()
        await group.wait_ready()


class SentinelPause(FaultKind):
    """SIGSTOP of the primary until it is replaced; when it resumes, it still acts as primary."""

    name = "primary paused"
    lossy = True

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        group: ValkeySentinel = context.topology.group
        await group.wait_ready()
        old = await group.primary()
        old.pause()
        try:
            await group.wait_primary_changed(old)
        finally:
            old.resume()
        await group.wait_ready()


class SentinelReplicaKill(FaultKind):
    """Kills a replica or a Sentinel."""

    name = "replica or Sentinel killed"
    weight = 0.5

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        group: ValkeySentinel = context.topology.group
        primary = await group.primary()
        replicas = [node for node in group.nodes if node is not primary and node.alive]
        victim = context.rng.choice([*replicas, *group.sentinels])
        await victim.kill()
        await context.sleep(0.2, 1.0)
        await victim.restart()
        await group.wait_ready()


class FailoverBehindProxy(FaultKind):
    """The clients' server is demoted and keeps their connections until the next such fault."""

    name = "failover behind the proxy"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        topology: Balanced = context.topology
        await topology.fail_over()
        await context.sleep(0.0, 2 * context.lease)


def _slot(context: FaultContext) -> int:
    return context.rng.randrange(16_384)


class _ClusterFailover(FaultKind):
    mode: ClassVar[Literal["graceful", "force", "takeover"]] = "graceful"

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        cluster: ValkeyCluster = context.topology.cluster
        await cluster.failover(_slot(context), self.mode)
        await cluster.wait_ready()


class GracefulFailover(_ClusterFailover):
    """A coordinated failover, which loses nothing."""

    name = "graceful failover"


class ForcedFailover(_ClusterFailover):
    """CLUSTER FAILOVER FORCE: without the primary's consent."""

    name = "failover with FORCE"
    lossy = True
    mode = "force"


class TakeoverFailover(_ClusterFailover):
    """CLUSTER FAILOVER TAKEOVER: without a vote of the other primaries."""

    name = "failover with TAKEOVER"
    lossy = True
    mode = "takeover"


class ClusterKill(FaultKind):
    """Kills a primary, which comes back as a replica."""

    name = "primary killed"
    lossy = True

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        cluster: ValkeyCluster = context.topology.cluster
        slot = _slot(context)
        old = await cluster.primary_of(slot)
        await old.kill()
        try:
            await cluster.wait_primary_changed(slot, old)
        finally:
            await old.restart()
        await cluster.wait_ready()


class ClusterPause(FaultKind):
    """SIGSTOP of a primary until it is replaced."""

    name = "primary paused"
    lossy = True

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        cluster: ValkeyCluster = context.topology.cluster
        slot = _slot(context)
        old = await cluster.primary_of(slot)
        old.pause()
        try:
            await cluster.wait_primary_changed(slot, old)
        finally:
            old.resume()
        await cluster.wait_ready()


class MigrateSlots(FaultKind):
    """Migrates the slot of a session in use to another primary, key by key."""

    name = "slot migrated"
    weight = 3.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        cluster: ValkeyCluster = context.topology.cluster
        key = PREFIX + context.rng.choice(context.live_sessions())
        node = cluster.living[0]
        slot = int(await node.command("CLUSTER", "KEYSLOT", key))
        source = await cluster.primary_of(slot)
        targets: list[Node] = [
            node for node in cluster.living if node is not source and await node.is_primary()
        ]
        fault.target = key
        async with cluster.migration(slot, context.rng.choice(targets)) as migration:
            await context.sleep(0.0, 0.3)
            await migration.move()
            await context.sleep(0.0, 0.3)
