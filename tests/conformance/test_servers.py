"""Real Valkey and real Redis 7.0, with clients of several settings."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.conformance.labs import RedisLab
from turnwise.stores.redis import standalone_client
from turnwise.testing.conformance import Lab, StoreConformance
from turnwise.testing.conformance.background import BackgroundConformance
from turnwise.testing.conformance.cancel import CancelConformance
from turnwise.testing.conformance.concurrency import ConcurrencyConformance
from turnwise.testing.conformance.events import EventsConformance
from turnwise.testing.conformance.history import HistoryConformance
from turnwise.testing.conformance.operators import OperatorsConformance
from turnwise.testing.conformance.queue import QueueConformance
from turnwise.testing.conformance.random_calls import RandomCallsConformance
from turnwise.testing.servers import RedisServer, ValkeyServer


async def _lab(server: ValkeyServer, connect: Callable[[], Redis]) -> AsyncIterator[Lab]:
    await server.command("FLUSHALL")
    lab = RedisLab(connect)
    yield lab
    await lab.aclose()


def _client(url: str, **options: Any) -> Callable[[], Redis]:
    return lambda: Redis.from_url(url, **options)


class TestValkey(StoreConformance):
    @pytest.fixture
    async def lab(self, valkey: ValkeyServer) -> AsyncIterator[Lab]:
        async for lab in _lab(valkey, lambda: standalone_client(valkey.url)):
            yield lab


class TestValkeyThroughAnApplicationsClient(
    HistoryConformance,
    QueueConformance,
    CancelConformance,
    BackgroundConformance,
    EventsConformance,
    OperatorsConformance,
    ConcurrencyConformance,
    RandomCallsConformance,
):
    """Decoded responses, the default retries."""

    @pytest.fixture
    async def lab(self, valkey: ValkeyServer) -> AsyncIterator[Lab]:
        async for lab in _lab(valkey, _client(valkey.url, decode_responses=True, protocol=2)):
            yield lab


class TestRedis(StoreConformance):
    @pytest.fixture
    async def lab(self, redis_server: RedisServer) -> AsyncIterator[Lab]:
        async for lab in _lab(redis_server, _client(redis_server.url, protocol=3)):
            yield lab
