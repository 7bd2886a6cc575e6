"""The servers of this folder: each starts once, when a test first asks for it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from turnwise.testing.plugin import no_new_task
from turnwise.testing.servers import (
    RedisServer,
    ServerNotFound,
    ValkeyCluster,
    ValkeySentinel,
    ValkeyServer,
)

pytest.register_assert_rewrite("turnwise.testing.conformance", "tests.conformance.machine")


@pytest_asyncio.fixture(autouse=True)
async def no_task_is_left() -> AsyncIterator[None]:
    async with no_new_task():
        yield


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def valkey() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def redis_server() -> AsyncIterator[RedisServer]:
    try:
        server = RedisServer()
    except ServerNotFound as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(error))
    async with server:
        yield server


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def cluster() -> AsyncIterator[ValkeyCluster]:
    async with ValkeyCluster() as cluster:
        yield cluster


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sentinel() -> AsyncIterator[ValkeySentinel]:
    async with ValkeySentinel() as sentinel:
        yield sentinel


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tls() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer(tls=True) as server:
        yield server
