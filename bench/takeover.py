"""How long after SIGKILL of a worker in mid-tool another one goes on with its turns.

From the kill to the other's first call of a model: it has the lease, has read the journal, and has
told the model that the tool's outcome is unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import count

from agents import set_tracing_disabled

from bench.children import child
from bench.holding import hold, holding_agent
from bench.model import InstantModel
from bench.samples import Sample
from turnwise import Runner, connect
from turnwise.session import Session

DIRECT, BACKGROUND = "sent again", "background"
DEFAULT_LEASE, SHORT_LEASE = 15.0, 2.0

_ids = count()


async def measure_takeover(
    urls: Mapping[str, str], lease: float, kills: int, turns: int
) -> dict[str, Sample]:
    """Seconds, by store and kind of turn; each of `kills` strikes a worker with `turns` turns.

    All stores and kinds at the same time: nearly all of it is waiting for leases to run out.
    """
    set_tracing_disabled(True)
    samples = {f"{store}, {kind}": Sample() for store in urls for kind in (DIRECT, BACKGROUND)}
    for _ in range(kills):
        async with asyncio.TaskGroup() as tasks:
            for store, url in urls.items():
                for kind, strike in ((DIRECT, _direct), (BACKGROUND, _background)):
                    sample = samples[f"{store}, {kind}"]
                    tasks.create_task(strike(url, lease, turns, sample))
    return samples


async def _direct(url: str, lease: float, turns: int, into: Sample) -> None:
    """The turns' senders send them again, here, before the worker dies, and wait."""
    name, asked = f"takeover-{next(_ids)}", list[float]()
    model = InstantModel(1, 1, hold.name, lambda: asked.append(time.monotonic()))
    async with child("bench.holding", url, lease, name, turns, 1, lease / 3) as victim:
        for _ in range(turns):
            await victim.next("held")
        async with connect(url, lease=lease) as session, asyncio.TaskGroup() as tasks:
            for number in range(turns):
                again = Runner.run(
                    holding_agent(model),
                    "Go",
                    session=session,
                    session_id=f"{name}-{number}",
                    turn_id="0",
                    timeout=None,
                )
                tasks.create_task(again)
            while not await _all_wait(session, name, turns):
                await asyncio.sleep(0.02)
            killed = time.monotonic()
            victim.process.kill()
    for moment in asked:
        into.add(moment - killed)


async def _all_wait(session: Session, name: str, turns: int) -> bool:
    infos = [await session.info(f"{name}-{number}") for number in range(turns)]
    return all(info is not None and info.queued for info in infos)


async def _background(url: str, lease: float, turns: int, into: Sample) -> None:
    """Another worker is there, with nothing to do."""
    name = f"takeover-{next(_ids)}"
    async with child("bench.serving", url, lease) as victim, connect(url) as session:
        victim.tell("go")
        await victim.next("ready")
        for number in range(turns):
            await session.submit(f"{name}-{number}", "Go", agent="holding")
            await asyncio.sleep(lease / 3 / turns)
        for _ in range(turns):
            await victim.next("held")
        async with child("bench.serving", url, lease) as heir:
            heir.tell("go")
            await heir.next("ready")
            killed = time.monotonic()
            victim.process.kill()
            for _ in range(turns):
                [moment] = await heir.next("asked", 2 * lease + 60)
                into.add(float(moment) - killed)
            heir.tell("stop")  # nothing is left for other workers
            await heir.next("stopped")
