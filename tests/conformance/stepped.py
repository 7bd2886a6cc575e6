"""A lab on a real server whose clock the test sets, so that an example runs the same every time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from hashlib import sha1

import pytest
from redis.asyncio import Redis

from tests.conformance.labs import RedisLab
from turnwise.stores.redis import dead_letters, events, ready, scripts, session_scripts
from turnwise.stores.redis.scripts import Script

CLOCK = "test:clock"
"""The key with the time, as the command TIME answers: seconds and microseconds."""


@cache
def stepped(name: str) -> Script:
    """The verb as it is, but for where it asks what time it is."""
    script = scripts.script(name)
    text = script.text.replace("redis.call('TIME')", f"redis.call('LRANGE', '{CLOCK}', 0, -1)")
    return replace(script, text=text, digest=sha1(text.encode()).hexdigest())


def with_stepped_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (dead_letters, events, ready, session_scripts):
        monkeypatch.setattr(module, "script", stepped)


class SteppedRedisLab(RedisLab):
    """Expiry is still the server's: it follows the true time, which hardly passes."""

    steps = True

    def __init__(self, connect: Callable[[], Redis]) -> None:
        super().__init__(connect, may_look=False)
        self.time = 1_800_000_000_000

    async def begin(self) -> None:
        """An empty server, and the clock of the beginning."""
        await self.client.flushall()
        await self._set()

    async def _set(self) -> None:
        seconds, ms = divmod(self.time, 1000)
        await self.client.delete(CLOCK)
        await self.client.rpush(CLOCK, seconds, 1000 * ms)

    async def now(self) -> int:
        return self.time

    async def passed(self, ms: int) -> None:
        self.time += ms
        await self._set()
