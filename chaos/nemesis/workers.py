"""Faults of workers."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from chaos.crew import Member
from chaos.history import Fault
from chaos.nemesis.fault import Field, Strike
from chaos.protocol import Cancel, Stall


def _choose(field: Field, fault: Fault) -> Member:
    member = field.rng.choice(field.crew.members)
    fault.target = member.name
    return member


class KillWorker(Strike):
    """SIGKILL; another one takes its place."""

    kind = "worker killed"
    weight = 3.0

    async def strike(self, field: Field, fault: Fault) -> None:
        member = _choose(field, fault)
        await member.kill()
        await field.crew.replace(member)


class ReplaceWorker(Strike):
    """A deployment: it finishes what it does and goes."""

    kind = "worker replaced"
    weight = 0.5

    async def strike(self, field: Field, fault: Fault) -> None:
        member = _choose(field, fault)
        await field.crew.replace(member)
        if not await field.crew.dismiss(member, 30.0):
            await member.kill()


class PauseWorker(Strike):
    """SIGSTOP for less than a lease."""

    kind = "worker paused, below the lease"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        member = _choose(field, fault)
        member.stop()
        try:
            await field.sleep(0.1 * field.lease, 0.8 * field.lease)
        finally:
            member.resume()


class FreezeWorker(Strike):
    """SIGSTOP for longer than a lease."""

    kind = "worker paused, beyond the lease"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        member = _choose(field, fault)
        member.stop()
        try:
            await field.sleep(1.1 * field.lease, 3 * field.lease)
        finally:
            member.resume()


class WakeRival(Strike):
    """SIGSTOP until another worker has taken over a turn, and both go on with it."""

    kind = "worker paused until taken over"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        event = asyncio.Event()
        member = _choose(field, fault)
        member.stop()
        try:
            await asyncio.sleep(field.lease)
            field.takeovers.append(event)
            with suppress(TimeoutError):
                await asyncio.wait_for(event.wait(), 2 * field.lease)
        finally:
            member.resume()


class StallWorker(Strike):
    """The event loop stands still; the process does not."""

    kind = "event loop stalled"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        seconds = field.rng.uniform(0.2, 2.5) * field.lease
        member = _choose(field, fault)
        member.send(Stall(seconds))
        await asyncio.sleep(seconds)


class CancelTasks(Strike):
    """Tasks are cancelled wherever they are."""

    kind = "tasks cancelled"
    weight = 2.0

    async def strike(self, field: Field, fault: Fault) -> None:
        count = 0
        for _ in range(field.rng.randint(3, 12)):
            await field.sleep(0.0, 0.05)
            member = field.rng.choice(field.crew.members)
            calls = sorted(member.waiting)
            for call in field.rng.sample(calls, min(len(calls), field.rng.randint(1, 3))):
                member.send(Cancel(call))
                count += 1
        fault.note = f"{count} tasks"
