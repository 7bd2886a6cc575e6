"""Failovers: by Sentinel, and in a Cluster. With asynchronous replication they may lose writes."""

from __future__ import annotations

from chaos.history import Fault
from chaos.nemesis.fault import Field, Strike
from chaos.topologies import PREFIX
from turnwise.testing.servers import Node, ValkeyCluster, ValkeySentinel


class SentinelFailover(Strike):
    """Asked for. The old primary may take writes for a moment longer, which are lost."""

    kind = "failover asked of Sentinel"
    lossy = True

    async def strike(self, field: Field, fault: Fault) -> None:
        group: ValkeySentinel = field.topology.group
        await group.failover()
        await group.wait_ready()


class SentinelKill(Strike):
    """The primary is killed, and comes back as a replica."""

    kind = "primary killed"
    lossy = True

    async def strike(self, field: Field, fault: Fault) -> None:
        group: ValkeySentinel = field.topology.group
        await group.wait_ready()
        old = await group.primary()
        await old.kill()
        try:
            await group.wait_primary_changed(old)
        finally:
            await old.restart()
        await group.wait_ready()


class SentinelPause(Strike):
    """The primary stands still, is replaced, and wakes up as one who thinks it still is primary."""

    kind = "primary paused"
    lossy = True

    async def strike(self, field: Field, fault: Fault) -> None:
        group: ValkeySentinel = field.topology.group
        await group.wait_ready()
        old = await group.primary()
        old.pause()
        try:
            await group.wait_primary_changed(old)
        finally:
            old.resume()
        await group.wait_ready()


class SentinelReplica(Strike):
    """A replica is killed, or a Sentinel."""

    kind = "replica or Sentinel killed"
    weight = 0.5

    async def strike(self, field: Field, fault: Fault) -> None:
        group: ValkeySentinel = field.topology.group
        primary = await group.primary()
        replicas = [node for node in group.nodes if node is not primary and node.alive]
        victim = field.rng.choice([*replicas, *group.sentinels])
        await victim.kill()
        await field.sleep(0.2, 1.0)
        await victim.restart()
        await group.wait_ready()


def _slot(field: Field) -> int:
    return field.rng.randrange(16_384)


class _ClusterFailover(Strike):
    how = "graceful"

    async def strike(self, field: Field, fault: Fault) -> None:
        cluster: ValkeyCluster = field.topology.cluster
        await cluster.failover(_slot(field), self.how)  # type: ignore[arg-type]  # one of its words
        await cluster.wait_ready()


class GracefulFailover(_ClusterFailover):
    """Loses nothing."""

    kind = "graceful failover"


class ForcedFailover(_ClusterFailover):
    kind = "forced failover"
    lossy = True
    how = "force"


class TakenFailover(_ClusterFailover):
    kind = "failover by takeover"
    lossy = True
    how = "takeover"


class ClusterKill(Strike):
    """A primary is killed, and comes back as a replica."""

    kind = "primary killed"
    lossy = True

    async def strike(self, field: Field, fault: Fault) -> None:
        cluster: ValkeyCluster = field.topology.cluster
        slot = _slot(field)
        old = await cluster.primary_of(slot)
        await old.kill()
        try:
            await cluster.wait_primary_changed(slot, old)
        finally:
            await old.restart()
        await cluster.wait_ready()


class ClusterPause(Strike):
    """A primary stands still, is replaced, and wakes up."""

    kind = "primary paused"
    lossy = True

    async def strike(self, field: Field, fault: Fault) -> None:
        cluster: ValkeyCluster = field.topology.cluster
        slot = _slot(field)
        old = await cluster.primary_of(slot)
        old.pause()
        try:
            await cluster.wait_primary_changed(slot, old)
        finally:
            old.resume()
        await cluster.wait_ready()


class MigrateSlots(Strike):
    """Slots with sessions in use move to another primary, key by key."""

    kind = "slot migrated"
    weight = 3.0

    async def strike(self, field: Field, fault: Fault) -> None:
        cluster: ValkeyCluster = field.topology.cluster
        key = PREFIX + field.rng.choice(field.sessions())
        node = cluster.living[0]
        slot = int(await node.command("CLUSTER", "KEYSLOT", key))
        source = await cluster.primary_of(slot)
        targets: list[Node] = [
            node for node in cluster.living if node is not source and await node.is_primary()
        ]
        fault.target = key
        async with cluster.migration(slot, field.rng.choice(targets)) as migration:
            await field.sleep(0.0, 0.3)
            await migration.move()
            await field.sleep(0.0, 0.3)
