"""Which messages run side by side: one whose workers died runs beside few others, or alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Literal

Company = Literal["any", "few", "none"]
"""What a message may run beside: anything; few of its kind, with anything else; nothing."""
ANY_COMPANY: Company = "any"

_MAX_SUSPECTS = 7
"""About the square root of a worker's concurrency. If one of 50 messages kills its worker, each
group of 7 that is tried again tells most of the innocent ones, and few are left to be tried alone.
"""
_inside: ContextVar[bool] = ContextVar("turnwise_isolation_inside", default=False)


class Isolation:
    """The messages that one event loop runs. While one waits to run alone, no other begins."""

    def __init__(self) -> None:
        self._running: list[Company] = []
        self._want_to_be_alone = 0
        self._changed = asyncio.Event()

    @asynccontextmanager
    async def room(self, company: Company) -> AsyncIterator[None]:
        """The block that runs a message, as soon as there is room for it.

        A block inside another one, a tool that drains a queue, does not wait for it.
        """
        if _inside.get():
            yield
            return
        await self._wait_for_room(company)
        self._running.append(company)
        inside = _inside.set(True)
        try:
            yield
        finally:
            _inside.reset(inside)
            self._running.remove(company)
            self._changed.set()

    async def _wait_for_room(self, company: Company) -> None:
        wants_to_be_alone = company == "none"
        self._want_to_be_alone += wants_to_be_alone
        try:
            while not self._has_room(company):
                self._changed.clear()
                await self._changed.wait()
        finally:
            self._want_to_be_alone -= wants_to_be_alone
            if wants_to_be_alone:
                self._changed.set()

    def _has_room(self, company: Company) -> bool:
        if company == "none":
            return not self._running
        if self._want_to_be_alone or "none" in self._running:
            return False
        return company == "any" or self._running.count("few") < _MAX_SUSPECTS
