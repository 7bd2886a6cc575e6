"""How soon messages of other sessions begin while one hot session has a thousand in its queue."""

from __future__ import annotations

from typing import Any

from bench.background import MonitoredWorker, idle_latency, in_batches, monitored_worker
from bench.samples import Sample

_HOT = "hot"


async def measure_fairness(url: str, messages: int, others: int) -> dict[str, Any]:
    """Milliseconds from submit to begin of `others` messages: alone, and beside a hot session.

    Only messages count whose turns began while the hot session still had messages in its queue.
    """
    async with monitored_worker(url) as worker:
        alone = await idle_latency(worker, others)
        await _fill_queue(worker, messages)
        beside_hot = Sample()
        while len(beside_hot.values) < others:
            found = await idle_latency(worker, 1)
            left = await _queued(worker)
            if not left:
                break
            beside_hot.values += found.values
        await worker.session.delete(_HOT)
    return {
        "messages": messages,
        "left": left,
        "alone": alone.with_percentiles(),
        "beside_hot": beside_hot.with_percentiles(),
    }


async def _fill_queue(worker: MonitoredWorker, messages: int) -> None:
    """All messages are queued before the first one begins."""
    await worker.stop()
    await in_batches([worker.submit(_HOT) for _ in range(messages)])
    await worker.start()


async def _queued(worker: MonitoredWorker) -> int:
    info = await worker.session.info(_HOT)
    return info.queued if info is not None else 0
