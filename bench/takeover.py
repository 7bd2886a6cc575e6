"""How long after SIGKILL of a worker, during a tool call, another worker continues its turns.

The time ends with the other worker's first model call. By then it has the lease, has read the
journal, and gives the model the tool's outcome as unknown.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from itertools import count

from agents import set_tracing_disabled

from bench.blocking_turns import block, blocking_agent
from bench.child_process import child_process
from bench.model import InstantModel
from bench.samples import Sample
from turnwise import Runner, connect
from turnwise.session import Session

RETRIED, BACKGROUND = "retried", "background"
DEFAULT_LEASE, SHORT_LEASE = 15.0, 2.0

_ids = count()


async def measure_takeover(
    urls: Mapping[str, str], lease: float, kills: int, turns: int
) -> dict[str, Sample]:
    """Seconds, by store and kind of turn; each of `kills` hits a worker with `turns` turns.

    All stores and kinds run at the same time: nearly all of it is waiting for leases to expire.
    """
    set_tracing_disabled(True)
    samples = {f"{store}, {kind}": Sample() for store in urls for kind in (RETRIED, BACKGROUND)}
    for _ in range(kills):
        async with asyncio.TaskGroup() as tasks:
            for store, url in urls.items():
                for kind, measure in ((RETRIED, _retried), (BACKGROUND, _background)):
                    sample = samples[f"{store}, {kind}"]
                    tasks.create_task(measure(url, lease, turns, sample))
    return samples


async def _retried(url: str, lease: float, turns: int, into: Sample) -> None:
    """This process retries the turns before the worker dies, and waits."""
    name, model_calls = f"takeover-{next(_ids)}", list[float]()
    model = InstantModel(1, 1, block.name, lambda: model_calls.append(time.monotonic()))
    async with child_process(
        "bench.blocking_turns", url, lease, name, turns, 1, lease / 3
    ) as victim:
        for _ in range(turns):
            await victim.wait_for("blocked")
        async with connect(url, lease=lease) as session, asyncio.TaskGroup() as tasks:
            for number in range(turns):
                run = Runner.run(
                    blocking_agent(model),
                    "Go",
                    session=session,
                    session_id=f"{name}-{number}",
                    turn_id="0",
                    timeout=None,
                )
                tasks.create_task(run)
            while not await _all_wait(session, name, turns):
                await asyncio.sleep(0.02)
            killed = time.monotonic()
            victim.process.kill()
    for called in model_calls:
        into.add(called - killed)


async def _all_wait(session: Session, name: str, turns: int) -> bool:
    infos = [await session.info(f"{name}-{number}") for number in range(turns)]
    return all(info is not None and info.queued for info in infos)


async def _background(url: str, lease: float, turns: int, into: Sample) -> None:
    """A second background worker is idle."""
    name = f"takeover-{next(_ids)}"
    async with (
        child_process("bench.background_worker", url, lease) as victim,
        connect(url) as session,
    ):
        victim.write("start")
        await victim.wait_for("ready")
        for number in range(turns):
            await session.submit(f"{name}-{number}", "Go", agent="blocking")
            await asyncio.sleep(lease / 3 / turns)
        for _ in range(turns):
            await victim.wait_for("blocked")
        async with child_process("bench.background_worker", url, lease) as successor:
            successor.write("start")
            await successor.wait_for("ready")
            killed = time.monotonic()
            victim.process.kill()
            for _ in range(turns):
                [called] = await successor.wait_for("model-called", 2 * lease + 60)
                into.add(float(called) - killed)
            successor.write("stop")  # leaves no turns to other workers
            await successor.wait_for("stopped")
