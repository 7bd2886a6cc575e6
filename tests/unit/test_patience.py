"""For how long a call is sent again, at the default settings."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Refused
from redis.exceptions import TimeoutError as NoAnswer

from turnwise.errors import StoreUnavailable
from turnwise.stores.redis import RedisStore, transport
from turnwise.stores.redis.clients import TIMEOUT
from turnwise.testing.servers.ports import free_port
from turnwise.types import Absent

NEVER = 1_000_000


class _Clock:
    """Time passes only where the code waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    clock = _Clock()
    monkeypatch.setattr(transport, "time", clock)
    monkeypatch.setattr(asyncio, "sleep", clock.sleep)
    return clock


class _Client(Redis):
    """So many sendings get no answer, each after `seconds`; the next one gets that of no session.

    Attributes:
        sent: how many sendings there were.
    """

    single_connection_client = False

    def __init__(self, clock: _Clock, failing: int, error: Exception, seconds: float) -> None:
        super().__init__(port=free_port())
        self._clock = clock
        self._failing, self._error, self._seconds = failing, error, seconds
        self.sent = 0

    async def execute_command(self, *command: Any, **options: Any) -> Any:
        self.sent += 1
        if self.sent <= self._failing:
            self._clock.now += self._seconds
            raise self._error
        return [b"absent"]


async def test_two_sendings_that_nobody_answers(clock: _Clock) -> None:
    """On connections that a firewall dropped, say, and on those to a server that has moved."""
    client = _Client(clock, 2, NoAnswer(), TIMEOUT)
    assert await RedisStore(client).info("s") == Absent()
    assert client.sent == 3


async def test_a_server_that_never_answers(clock: _Clock) -> None:
    client = _Client(clock, NEVER, NoAnswer(), TIMEOUT)
    with pytest.raises(StoreUnavailable, match="does not answer"):
        await RedisStore(client).info("s")
    assert client.sent == 3
    assert 15 <= clock.now < 16


async def test_a_server_that_refuses_connections(clock: _Clock) -> None:
    client = _Client(clock, NEVER, Refused(), 0.0)
    with pytest.raises(StoreUnavailable):
        await RedisStore(client).info("s")
    assert client.sent > 3
    assert 5.5 <= clock.now <= 6
