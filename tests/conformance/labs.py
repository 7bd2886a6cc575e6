"""The labs of our own stores."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from redis.asyncio import Redis, RedisCluster

from turnwise.contracts import Store
from turnwise.limits import Limits
from turnwise.stores.embedded.memory import MemoryStore
from turnwise.stores.embedded.store import EmbeddedStore
from turnwise.stores.redis import RedisStore
from turnwise.stores.redis.clients import close
from turnwise.stores.redis.keys import Keys
from turnwise.stores.sqlite import SQLiteStore
from turnwise.testing.conformance import Lab
from turnwise.testing.plugin import keys_are_owned

PREFIX = "test:sessions:"


class EmbeddedLab(Lab):
    """Stores with a clock that the test sets."""

    steps = True

    def __init__(self) -> None:
        self.time = 1_800_000_000_000
        self.stores: list[EmbeddedStore] = []

    async def now(self) -> int:
        return self.time

    async def tick(self) -> None:
        self.time += 25

    def step(self, ms: int) -> None:
        self.time += ms

    async def passed(self, ms: int) -> None:
        self.step(ms)

    async def aclose(self) -> None:
        for store in self.stores:
            await store.aclose()


class MemoryLab(EmbeddedLab):
    """All stores share the sessions of the first."""

    def store(self, limits: Limits | None = None) -> Store:
        first = self.stores[0] if self.stores else None
        memory = first.memory if isinstance(first, MemoryStore) else None
        store = MemoryStore(limits=limits, clock=lambda: self.time, memory=memory)
        self.stores.append(store)
        return store


class SQLiteLab(EmbeddedLab):
    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def store(self, limits: Limits | None = None) -> Store:
        store = SQLiteStore(self._path, limits=limits, clock=lambda: self.time)
        self.stores.append(store)
        return store


class RedisLab(Lab):
    """Stores on a server or cluster, each with a client of its own; time passes by itself."""

    lease = 750

    def __init__(
        self, connect: Callable[[], Redis | RedisCluster], *, may_look: bool = True
    ) -> None:
        self._connect = connect
        self._may_look = may_look
        self.clients: list[Redis | RedisCluster] = []
        self.stores: list[RedisStore] = []
        self.client = self._client()

    def _client(self) -> Redis | RedisCluster:
        client = self._connect()
        self.clients.append(client)
        return client

    def store(self, limits: Limits | None = None) -> Store:
        return self.redis_store(limits)

    def redis_store(self, limits: Limits | None = None) -> RedisStore:
        worker = f"worker-{len(self.stores)}"
        client = self.client if not self.stores else self._client()
        store = RedisStore(client, key_prefix=PREFIX, limits=limits, worker=worker)
        self.stores.append(store)
        return store

    async def now(self) -> int:
        if isinstance(self.client, RedisCluster):
            await self.client.initialize()
            seconds, micros = await self.client.time(target_nodes=self.client.get_random_node())
        else:
            seconds, micros = await self.client.time()
        return int(seconds) * 1000 + int(micros) // 1000

    async def tick(self) -> None:
        await asyncio.sleep(0.01)

    async def aclose(self) -> None:
        if self._may_look:
            await keys_are_owned(self.client, PREFIX, Keys(PREFIX).fleet)
        for store in self.stores:
            await store.aclose()
        for client in self.clients:
            await close(client)
