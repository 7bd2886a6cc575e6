"""Searches through all sessions, which a page can wait for only so long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from turnwise.dashboard.site import Visit

T = TypeVar("T")
PATIENCE = 8.0
"""Seconds for which a search goes on."""
MOST = 500


@dataclass(frozen=True)
class Found(Generic[T]):
    """What was found.

    Attributes:
        each: At most MOST.
        cut: Why there may be others; "" if there are none.
    """

    each: list[T]
    cut: str = ""


async def find(visit: Visit, name: str, search: Callable[[], AsyncIterator[T]]) -> Found[T]:
    """What the search finds; visitors who ask for the same at the same time share it."""
    return await visit.site.watch.shared.get(name, lambda: _find(search))


async def _find(search: Callable[[], AsyncIterator[T]]) -> Found[T]:
    found: list[T] = []
    try:
        async with asyncio.timeout(PATIENCE):
            async for each in search():
                if len(found) == MOST:
                    return Found(found, f"These are the first {MOST}; there are more.")
                found.append(each)
    except TimeoutError:
        return Found(found, f"The search was ended after {PATIENCE:g} s: there may be others.")
    return Found(found)
