"""One round on one topology, from the start of its servers to the store's final state."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from functools import partial

from chaos import execution_log, final_state
from chaos.history import History, Leftover, now
from chaos.invoker import Invoker
from chaos.nemesis import FaultContext, FaultKind, Nemesis, fault_groups_for
from chaos.topologies import Topology
from chaos.worker_pool import WorkerPool
from chaos.workload import Workload, WorkloadConfig
from turnwise.testing.proxy import FaultProxy

_QUIESCE_SECONDS = 60.0
"""Seconds that an operation may still take after the last fault is healed."""


@dataclass(frozen=True)
class RoundConfig:
    """`fault_interval`: seconds between two faults of a group, on average."""

    seed: int
    seconds: float
    workers: int = 3
    lease: float = 1.5
    fault_interval: float = 1.5
    workload: WorkloadConfig = field(default_factory=WorkloadConfig)
    fault_groups: tuple[tuple[FaultKind, ...], ...] | None = None


async def run_round(topology: Topology, config: RoundConfig) -> History:
    """Start everything, run the workload under faults, quiesce, and collect the final state."""
    async with topology:
        history = History(topology.name, config.seed, config.lease, started=time.time())
        make_config = partial(topology.worker_config, lease=config.lease)
        async with WorkerPool(config.workers, make_config) as pool:
            workload = await _run_workload(topology, config, pool, history)
            await _shut_down(pool, history)
        await _collect(topology, config, history, list(workload.sessions))
        return history


async def _run_workload(
    topology: Topology, config: RoundConfig, pool: WorkerPool, history: History
) -> Workload:
    start = now()
    invoker = Invoker(pool, history, random.Random(f"{config.seed} invoker"), topology.site)
    rng = random.Random(f"{config.seed} workload")
    workload = Workload(config.workload, rng, invoker, history, config.lease)
    nemesis = _nemesis(topology, config, pool, invoker, workload, history)
    nemesis.start()
    work = asyncio.create_task(workload.run(config.seconds))
    await asyncio.sleep(config.seconds)
    await nemesis.stop()
    await _finish(work, pool, history)
    history.seconds = now() - start
    await _finish(asyncio.create_task(workload.retry_unknown()), pool, history)
    await _finish(asyncio.create_task(workload.probe_sessions()), pool, history)
    async with topology.connect(config.lease) as session:
        timeout = config.workload.quiesce_timeout
        history.leftovers += await final_state.leftover_wakeups(session, timeout)
    return workload


def _nemesis(
    topology: Topology,
    config: RoundConfig,
    pool: WorkerPool,
    invoker: Invoker,
    workload: Workload,
    history: History,
) -> Nemesis:
    context = FaultContext(
        topology,
        pool,
        random.Random(f"{config.seed} nemesis"),
        config.lease,
        workload.live_sessions,
        invoker.invoke,
        history,
    )
    pool.takeover_listeners.append(context.on_takeover)
    groups = fault_groups_for(topology) if config.fault_groups is None else config.fault_groups
    return Nemesis(context, groups, config.fault_interval)


async def _finish(work: asyncio.Task[None], pool: WorkerPool, history: History) -> None:
    """Wait for it. What still runs long after the last fault hangs: report it and kill it.

    Its worker prints the stacks of its tasks.
    """
    await asyncio.wait({work}, timeout=_QUIESCE_SECONDS)
    if not work.done():
        for number in [number for worker in pool.workers for number in worker.in_flight]:
            hung = history.invocations[number]
            what = f"{hung.kind} {hung.op} on {hung.worker} still runs"
            history.leftovers.append(Leftover(what, "worker", hung.session))
        for worker in list(pool.workers):
            if worker.in_flight:
                await worker.print_stacks()
            await worker.kill()
            await pool.replace(worker)
    await work


async def _shut_down(pool: WorkerPool, history: History) -> None:
    await pool.shut_down_all()
    for name, report in pool.shutdowns:
        if report is None:
            history.leftovers.append(Leftover(f"{name} did not shut down", "worker"))
        elif report.leaked_tasks:
            history.leftovers.append(Leftover(f"tasks {report.leaked_tasks}", name))


async def _collect(
    topology: Topology, config: RoundConfig, history: History, sessions: list[str]
) -> None:
    if isinstance(topology.proxy, FaultProxy):
        await topology.proxy.drop_connections()
    history.leftovers += await final_state.leftover_connections(topology)
    async with topology.connect(config.lease) as session:
        history.leftovers += await final_state.leftover_turns(session, sessions)
        history.leftovers += await final_state.unlisted_sessions(session, sessions)
        # Some faults have sessions of their own, in which nobody takes up what they left.
        sessions = list(dict.fromkeys((*sessions, *(one.session for one in history.invocations))))
        history.final_states = await final_state.read_sessions(session, sessions)
        history.dead_letters = await final_state.read_dead_letters(session)
    history.leftovers += await final_state.leftover_keys(topology, sessions)
    history.executions = execution_log.read(topology.execution_log)
