"""Answers of the store that several visitors share."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, TypeVar, cast

T = TypeVar("T")
_LEAST, _MOST = 0.5, 30.0
"""For how many seconds an answer is shared."""


class Shared:
    """Keeps each answer for so many times as long as it took, within bounds.

    Who asks while the same is being asked waits for that answer.
    """

    def __init__(self, rest: float) -> None:
        self._rest = rest
        self._answers: dict[Hashable, tuple[float, asyncio.Future[Any]]] = {}

    async def get(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """The answer. An error is everybody's who waits for it, and is not kept."""
        self._forget_old()
        if (known := self._answers.get(key)) is None:
            asked = asyncio.ensure_future(self._ask(key, ask))
            asked.add_done_callback(_heard)
            known = self._answers[key] = (float("inf"), asked)
        return cast(T, await asyncio.shield(known[1]))

    def clear(self) -> None:
        """Something was changed: ask anew."""
        self._answers.clear()

    async def _ask(self, key: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        started = time.monotonic()
        try:
            answer = await ask()
        except BaseException:
            self._answers.pop(key, None)
            raise
        ended = time.monotonic()
        kept = min(_MOST, max(_LEAST, self._rest * (ended - started)))
        if key in self._answers:
            self._answers[key] = (ended + kept, self._answers[key][1])
        return answer

    def _forget_old(self) -> None:
        now = time.monotonic()
        old = [key for key, (until, _) in self._answers.items() if until < now]
        for key in old:
            del self._answers[key]


def _heard(asked: asyncio.Future[Any]) -> None:
    """Nobody may be left to hear of its error."""
    if not asked.cancelled():
        asked.exception()
