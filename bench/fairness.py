"""One session with a thousand messages waiting, and how soon the messages of others begin."""

from __future__ import annotations

from typing import Any

from bench.background import Served, at_idle, in_batches, served
from bench.samples import Sample

_HOT = "hot"


async def measure_fairness(url: str, messages: int, others: int) -> dict[str, Any]:
    """Milliseconds from submit to begin, of `others` messages: alone, and beside a hot session.

    Only those count whose turns began while the hot one still had messages waiting.
    """
    async with served(url) as service:
        alone = await at_idle(service, others)
        await _heat(service, messages)
        beside = Sample()
        while len(beside.values) < others:
            found = await at_idle(service, 1)
            left = await _left(service)
            if not left:
                break
            beside.values += found.values
        await service.session.delete(_HOT)
    return {
        "messages": messages,
        "left": left,
        "alone": alone.with_tail(),
        "beside": beside.with_tail(),
    }


async def _heat(service: Served, messages: int) -> None:
    """All of them wait before the first begins."""
    await service.stop()
    await in_batches([service.submit(_HOT) for _ in range(messages)])
    await service.start()


async def _left(service: Served) -> int:
    info = await service.session.info(_HOT)
    return info.queued if info is not None else 0
