"""One run on one topology, from the first server's start to what remains."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from chaos import ledger, remains
from chaos.crew import Crew
from chaos.history import History, Leftover, now
from chaos.nemesis import Field, Nemesis, Strike, strikes_for
from chaos.sender import Sender
from chaos.topologies import Topology
from chaos.workload import Plan, Workload
from turnwise.testing.proxy import FaultProxy

_PATIENCE = 60.0
"""How long an operation may still take when all is well again, in seconds."""


@dataclass(frozen=True)
class Settings:
    """Of one run. `pause`: seconds between two faults of a kind, on average."""

    seed: int
    seconds: float
    workers: int = 3
    lease: float = 1.5
    pause: float = 1.5
    plan: Plan = field(default_factory=Plan)
    strikes: tuple[tuple[Strike, ...], ...] | None = None


async def run(topology: Topology, settings: Settings) -> History:
    """Start it all, let it run among faults, wait until it is quiet, and collect what there is."""
    async with topology:
        history = History(
            topology.name, settings.seed, settings.lease, started=time.time(), calls=[]
        )
        history.takeovers, history.faults = [], []
        make = partial(topology.setup, lease=settings.lease)
        async with Crew(settings.workers, make) as crew:
            workload = await _rage(topology, settings, crew, history)
            await _depart(crew, history)
        await _collect(topology, settings, history, list(workload.sessions))
        return history


async def _rage(topology: Topology, settings: Settings, crew: Crew, history: History) -> Workload:
    begun = now()
    sender = Sender(crew, history, random.Random(f"{settings.seed} senders"))
    rng = random.Random(f"{settings.seed} workload")
    workload = Workload(settings.plan, rng, sender, history, settings.lease)
    faults = random.Random(f"{settings.seed} nemesis")
    scene = Field(topology, crew, faults, settings.lease, workload.live, sender.send, history)
    crew.listeners.append(scene.hear)
    lists = settings.strikes if settings.strikes is not None else strikes_for(topology)
    nemesis = Nemesis(scene, history, lists, settings.pause)
    nemesis.start()
    work = asyncio.create_task(workload.run(settings.seconds))
    await asyncio.sleep(settings.seconds)
    await nemesis.stop()
    await _in_time(work, crew, history)
    history.seconds = now() - begun
    await _in_time(asyncio.create_task(workload.settle()), crew, history)
    await _in_time(asyncio.create_task(workload.farewell()), crew, history)
    async with topology.open(settings.lease) as session:
        history.leftovers += await remains.claims(session, settings.plan.patience)
    return workload


async def _in_time(work: asyncio.Task[None], crew: Crew, history: History) -> None:
    """What has not ended long after the last fault hangs: that is a finding, and it is ended."""
    await asyncio.wait({work}, timeout=_PATIENCE)
    if not work.done():
        stuck = [call for member in crew.members for call in member.waiting]
        for call in stuck:
            sent = history.calls[call]
            what = f"{sent.kind} {sent.op} of {sent.worker} still runs"
            history.leftovers.append(Leftover(what, "worker", sent.session))
        for member in list(crew.members):
            await member.kill()
            await crew.replace(member)
    await work


async def _depart(crew: Crew, history: History) -> None:
    await crew.leave()
    for name, left in crew.left:
        if left is None:
            history.leftovers.append(Leftover(f"{name} did not leave", "worker"))
        elif left.tasks:
            history.leftovers.append(Leftover(f"tasks {left.tasks}", name))


async def _collect(
    topology: Topology, settings: Settings, history: History, names: list[str]
) -> None:
    if isinstance(topology.proxy, FaultProxy):
        await topology.proxy.drop_connections()
    history.leftovers += await remains.connections(topology)
    async with topology.open(settings.lease) as session:
        history.leftovers += await remains.open_ends(session, names)
        history.finals = await remains.finals(session, names)
        history.letters = await remains.dead_letters(session)
    history.leftovers += await remains.stray_keys(topology, names)
    history.ledger = ledger.read(topology.directory / "ledger")


def ledger_of(topology: Topology) -> Path:
    return topology.directory / "ledger"
