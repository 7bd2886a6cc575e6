"""Worker faults."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chaos.history import Fault
from chaos.nemesis.kind import FaultContext, FaultKind
from chaos.protocol import CancelTask, Stall
from chaos.worker_pool import WorkerProcess


def _choose(context: FaultContext, fault: Fault) -> WorkerProcess:
    worker = context.rng.choice(context.pool.workers)
    fault.target = worker.name
    return worker


class KillWorker(FaultKind):
    """SIGKILL; a new worker replaces it."""

    name = "worker killed"
    weight = 3.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        worker = _choose(context, fault)
        await worker.kill()
        await context.pool.replace(worker)


class ReplaceWorker(FaultKind):
    """A rolling deployment: a new worker starts, the old one shuts down gracefully."""

    name = "worker replaced"
    weight = 0.5

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        worker = _choose(context, fault)
        await context.pool.replace(worker)
        if not await context.pool.shut_down(worker, 30.0):
            await worker.kill()


class DrainWorker(FaultKind):
    """It shuts down gracefully, as at SIGTERM; then a new worker starts in its place."""

    name = "worker drained"
    weight = 1.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        worker = _choose(context, fault)
        if not await context.pool.shut_down(worker, 30.0):
            await worker.kill()
        await context.pool.replace(worker)


class PauseWithinLease(FaultKind):
    """SIGSTOP for less than a lease."""

    name = "worker paused for less than a lease"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        worker = _choose(context, fault)
        worker.pause()
        try:
            await context.sleep(0.1 * context.lease, 0.8 * context.lease)
        finally:
            worker.resume()


class PauseBeyondLease(FaultKind):
    """SIGSTOP for longer than a lease."""

    name = "worker paused for more than a lease"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        worker = _choose(context, fault)
        worker.pause()
        try:
            await context.sleep(1.1 * context.lease, 3 * context.lease)
        finally:
            worker.resume()


class PauseUntilTakenOver(FaultKind):
    """SIGSTOP until a takeover; then two workers believe to hold the same turn."""

    name = "worker paused until taken over"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        event = asyncio.Event()
        worker = _choose(context, fault)
        worker.pause()
        try:
            await asyncio.sleep(context.lease)
            context.takeover_events.append(event)
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), 2 * context.lease)
        finally:
            worker.resume()


class StallEventLoop(FaultKind):
    """Blocks the event loop; the process itself runs."""

    name = "event loop stalled"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        seconds = context.rng.uniform(0.2, 2.5) * context.lease
        worker = _choose(context, fault)
        worker.send(Stall(seconds))
        await asyncio.sleep(seconds)


class CancelTasks(FaultKind):
    """Cancels tasks at arbitrary await points."""

    name = "tasks cancelled"
    weight = 2.0

    async def inject(self, context: FaultContext, fault: Fault) -> None:
        count = 0
        for _ in range(context.rng.randint(3, 12)):
            await context.sleep(0.0, 0.05)
            worker = context.rng.choice(context.pool.workers)
            in_flight = sorted(worker.in_flight)
            chosen = min(len(in_flight), context.rng.randint(1, 3))
            for invocation in context.rng.sample(in_flight, chosen):
                worker.send(CancelTask(invocation))
                count += 1
        fault.note = f"{count} tasks"
