"""A store that already holds sessions of the Agents SDK: nothing looks silently empty."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import agents
import pytest
import pytest_asyncio
from agents.extensions.memory import RedisSession as SDKRedisSession

from turnwise import RedisSession, SQLiteSession
from turnwise.errors import NotASession
from turnwise.testing.servers import ValkeyServer, find_valkey

SAYS_HOW = "Coming from the SDK's sessions"
ITEMS: Any = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest_asyncio.fixture
async def url() -> AsyncIterator[str]:
    if find_valkey() is None:
        pytest.skip("there is no server")
    async with ValkeyServer() as server:
        old = SDKRedisSession.from_url("user-1", url=server.url)
        await old.add_items(ITEMS)
        await old.close()
        yield server.url


async def test_at_the_default_prefix_scan_tells(url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with RedisSession.from_url(url) as session:
        assert [found async for found in session.scan()] == []
        (warning,) = [record.getMessage() for record in caplog.records]
        assert "'agents:session:user-1:messages'" in warning
        assert SAYS_HOW in warning
        await session.bind("user-1").add_items(ITEMS)
        assert [found async for found in session.scan()] == ["user-1"]


async def test_at_the_sdks_prefix_its_session_is_none(url: str) -> None:
    async with RedisSession.from_url(url, key_prefix="agents:session:") as session:
        for operation in (session.bind("user-1").get_items, session.bind("user-1").info):
            with pytest.raises(NotASession, match=SAYS_HOW):
                await cast("Any", operation)()
        assert [found async for found in session.scan()] == []


async def test_the_sdks_file(tmp_path: Path) -> None:
    path = tmp_path / "conversations.db"
    old = agents.SQLiteSession("user-1", path)
    await old.add_items(ITEMS)
    old.close()
    async with SQLiteSession(path) as session:
        with pytest.raises(NotASession, match=SAYS_HOW):
            await session.bind("user-1").get_items()
