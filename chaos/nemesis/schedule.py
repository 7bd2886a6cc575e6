"""When which fault strikes."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from chaos import topologies
from chaos.history import Fault, History, now
from chaos.nemesis import failovers, late, network, servers, sqlite, workers
from chaos.nemesis.fault import Field, Strike

WORKERS: Sequence[Strike] = (
    workers.KillWorker(),
    workers.ReplaceWorker(),
    workers.PauseWorker(),
    workers.FreezeWorker(),
    workers.WakeRival(),
    workers.StallWorker(),
    workers.CancelTasks(),
)
SINGLE: Sequence[Strike] = (
    servers.KillServer(),
    servers.RestartServer(),
    servers.PauseServer(),
    servers.FlushScripts(),
    servers.CutClients(),
    servers.LowMemory(),
    network.DropRequests(),
    network.LoseReplies(),
    network.CutReplies(),
    network.DelayReplies(),
    network.DelayRequests(),
    network.CutAll(),
    late.LateBegin(),
    network.Partition(),
)
SENTINEL: Sequence[Strike] = (
    failovers.SentinelFailover(),
    failovers.SentinelKill(),
    failovers.SentinelPause(),
    failovers.SentinelReplica(),
    servers.FlushScripts(),
    servers.CutClients(),
    servers.LowMemory(),
)
CLUSTER: Sequence[Strike] = (
    failovers.GracefulFailover(),
    failovers.ForcedFailover(),
    failovers.TakenFailover(),
    failovers.ClusterKill(),
    failovers.ClusterPause(),
    failovers.MigrateSlots(),
    servers.FlushScripts(),
    servers.CutClients(),
    servers.LowMemory(),
)
SQLITE: Sequence[Strike] = (sqlite.HoldLock(), sqlite.ReadLong())


def strikes_for(topology: topologies.Topology) -> list[Sequence[Strike]]:
    """What may happen at the same time: one of each."""
    if isinstance(topology, topologies.Single):
        clocks = (servers.StepClock(),) if topology.rate is not None else ()
        return [WORKERS, (*SINGLE, *clocks)]
    if isinstance(topology, topologies.SentinelTrio):
        return [WORKERS, SENTINEL]
    if isinstance(topology, topologies.Cluster):
        return [WORKERS, CLUSTER]
    return [WORKERS, SQLITE]


class Nemesis:
    """One fault after the other from each list, until it is told to stop."""

    def __init__(
        self, field: Field, history: History, lists: Sequence[Sequence[Strike]], pause: float
    ) -> None:
        self._field = field
        self._history = history
        self._lists = lists
        self._pause = pause
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = asyncio.Event()
        self.failures: list[str] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._haunt(strikes)) for strikes in self._lists]

    async def stop(self) -> None:
        """Return when all faults are over and everything is well again."""
        self._stopping.set()
        await asyncio.gather(*self._tasks)
        for member in self._field.crew.members:
            member.resume()
        await self._field.topology.heal()

    async def _haunt(self, strikes: Sequence[Strike]) -> None:
        weights = [strike.weight for strike in strikes]
        while strikes and not self._stopping.is_set():
            with suppress(TimeoutError):
                pause = self._field.rng.uniform(0.3, 1.7) * self._pause
                await asyncio.wait_for(self._stopping.wait(), pause)
                return
            [strike] = self._field.rng.choices(strikes, weights)
            await self._strike(strike)

    async def _strike(self, strike: Strike) -> None:
        fault = Fault(strike.kind, now(), lossy=strike.lossy)
        self._history.faults.append(fault)
        try:
            await strike.strike(self._field, fault)
        except Exception as error:
            # The server tools gave up waiting, say. What is wrong with the store shows elsewhere.
            fault.note = f"{fault.note} ({type(error).__name__}: {error})"[:300].strip()
            self.failures.append(f"{strike.kind}: {fault.note}")
            await self._field.topology.heal()
        finally:
            fault.end = now()
