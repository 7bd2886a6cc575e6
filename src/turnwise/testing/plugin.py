"""A pytest plugin against leaks: `pytest_plugins = ["turnwise.testing.plugin"]` in a conftest.

`no_task_left` fails a coroutine test that leaves asyncio tasks behind. `keys_are_owned` is a
function to call at the end of a test: every key of a prefix is a session, or has an expiry.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from typing import TypeAlias

import pytest
from redis.asyncio import Redis, RedisCluster

Client: TypeAlias = Redis | RedisCluster


@asynccontextmanager
async def no_new_task() -> AsyncIterator[None]:
    """Fail if tasks that the block started still run after it."""
    before = asyncio.all_tasks()
    yield
    await asyncio.sleep(0)  # cancelled tasks can end now
    ours = {asyncio.current_task()}  # a fixture's end may run in another task than its beginning
    left = {task for task in asyncio.all_tasks() - before - ours if not task.done()}
    assert not left, f"tasks left behind: {sorted(task.get_name() for task in left)}"


@pytest.fixture
async def no_task_left() -> AsyncIterator[None]:
    """The test, with the fixtures that it asks for after this one, leaves no task behind."""
    async with no_new_task():
        yield


async def keys_are_owned(client: Client, key_prefix: str, fleet: Collection[str] = ()) -> None:
    """Fail if a key under the prefix is neither a session nor an owner's index nor expires.

    `fleet` lists the other keys that may stay.
    """
    lasting = "{" + key_prefix + "owned:"
    async for key in client.scan_iter("*"):
        name = key if isinstance(key, str) else key.decode()
        if name.startswith(key_prefix):
            assert await client.type(key) in (b"list", "list"), f"{name} is no session"
        elif name.startswith(lasting):
            assert await client.type(key) in (b"hash", "hash"), f"{name} is no owner's index"
        elif name.startswith("{" + key_prefix) and name not in fleet:
            assert await client.pttl(key) >= 0, f"{name} has no expiry"
