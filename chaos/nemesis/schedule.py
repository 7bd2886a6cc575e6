"""The nemesis: which kinds of faults a topology has, and when each is injected."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from chaos import topologies
from chaos.history import Fault, now
from chaos.nemesis import failovers, late, network, servers, sqlite, workers
from chaos.nemesis.kind import FaultContext, FaultKind

WORKER_FAULTS: Sequence[FaultKind] = (
    workers.KillWorker(),
    workers.ReplaceWorker(),
    workers.PauseWithinLease(),
    workers.PauseBeyondLease(),
    workers.PauseUntilTakenOver(),
    workers.StallEventLoop(),
    workers.CancelTasks(),
)
REPLICA_FAULTS: Sequence[FaultKind] = (
    workers.KillWorker(),
    workers.DrainWorker(),
    workers.ReplaceWorker(),
    workers.PauseWithinLease(),
    workers.PauseBeyondLease(),
    workers.StallEventLoop(),
)
PROXY_FAULTS: Sequence[FaultKind] = (
    servers.ReloadNginx(),
    servers.FlushScripts(),
    servers.KillConnections(),
)
SINGLE_SERVER_FAULTS: Sequence[FaultKind] = (
    servers.KillServer(),
    servers.RestartServer(),
    servers.PauseServer(),
    servers.FlushScripts(),
    servers.KillConnections(),
    servers.LimitMemory(),
    network.DropRequests(),
    network.LoseReplies(),
    network.TruncateReplies(),
    network.DelayReplies(),
    network.DelayRequests(),
    network.DropConnections(),
    late.LateBegin(),
    network.Partition(),
)
BALANCED_FAULTS: Sequence[FaultKind] = (
    failovers.FailoverBehindProxy(),
    servers.FlushScripts(),
    servers.KillConnections(),
    network.LoseReplies(),
    network.DropConnections(),
)
SENTINEL_FAULTS: Sequence[FaultKind] = (
    failovers.SentinelFailover(),
    failovers.SentinelKill(),
    failovers.SentinelPause(),
    failovers.SentinelReplicaKill(),
    servers.FlushScripts(),
    servers.KillConnections(),
    servers.LimitMemory(),
)
CLUSTER_FAULTS: Sequence[FaultKind] = (
    failovers.GracefulFailover(),
    failovers.ForcedFailover(),
    failovers.TakeoverFailover(),
    failovers.ClusterKill(),
    failovers.ClusterPause(),
    failovers.MigrateSlots(),
    servers.FlushScripts(),
    servers.KillConnections(),
    servers.LimitMemory(),
)
SQLITE_FAULTS: Sequence[FaultKind] = (sqlite.HoldLock(), sqlite.LongRead())


def fault_groups_for(topology: topologies.Topology) -> list[Sequence[FaultKind]]:
    """Groups of faults: at any time at most one fault of each group is active."""
    if isinstance(topology, topologies.Served):
        return [REPLICA_FAULTS, PROXY_FAULTS]
    if isinstance(topology, topologies.SingleServer):
        clocks = (servers.StepClock(),) if topology.clock_file is not None else ()
        return [WORKER_FAULTS, (*SINGLE_SERVER_FAULTS, *clocks)]
    if isinstance(topology, topologies.Balanced):
        return [WORKER_FAULTS, BALANCED_FAULTS]
    if isinstance(topology, topologies.SentinelGroup):
        return [WORKER_FAULTS, SENTINEL_FAULTS]
    if isinstance(topology, topologies.Cluster):
        return [WORKER_FAULTS, CLUSTER_FAULTS]
    return [WORKER_FAULTS, SQLITE_FAULTS]


class Nemesis:
    """Injects one fault after the other from each group until it is stopped.

    `interval`: seconds between two faults of a group, on average.
    """

    def __init__(
        self, context: FaultContext, groups: Sequence[Sequence[FaultKind]], interval: float
    ) -> None:
        self._context = context
        self._groups = groups
        self._interval = interval
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run_group(group)) for group in self._groups]

    async def stop(self) -> None:
        """Return when all faults have ended and everything is healthy."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        for worker in self._context.pool.workers:
            worker.resume()
        await self._context.topology.heal()

    async def _run_group(self, group: Sequence[FaultKind]) -> None:
        weights = [kind.weight for kind in group]
        while group and not self._stopping.is_set():
            with suppress(TimeoutError):
                seconds = self._context.rng.uniform(0.3, 1.7) * self._interval
                await asyncio.wait_for(self._stopping.wait(), seconds)
                return
            [kind] = self._context.rng.choices(group, weights)
            await self._inject(kind)

    async def _inject(self, kind: FaultKind) -> None:
        fault = Fault(kind.name, now(), lossy=kind.lossy)
        self._context.history.faults.append(fault)
        try:
            await kind.inject(self._context, fault)
        except Exception as error:
            # A helper timed out, say. If the store is damaged, the checks of the history show it.
            fault.note = f"{fault.note} ({type(error).__name__}: {error})"[:300].strip()
            await self._context.topology.heal()
        finally:
            fault.end = now()
