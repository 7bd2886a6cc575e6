"""Ids at their limits, globs, and sessions at their size limit: the same on every store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.fault_lab import (
    AnySession,
    assert_free,
    message,
    session_on,
)
from turnwise.errors import (
    AlreadyCommitted,
    SessionTooLarge,
)
from turnwise.testing.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def session(server: ValkeyServer, tmp_path: Path, kind: str) -> AsyncIterator[AnySession]:
    options = {"compression": False, "max_session_bytes": 1_000}
    async with session_on(kind, tmp_path, server, **options) as session:
        yield session


async def test_a_session_at_its_bound(session: AnySession) -> None:
    bound = session.bind("user-1")
    await bound.add_items([message("one")])
    info = await session.info("user-1")
    assert info is not None
    room = 1_000 - info.bytes - len(b'{"role":"user","content":""}')
    with pytest.raises(SessionTooLarge, match="max_session_bytes=1000") as caught:
        await bound.add_items([message("x" * (room + 1))])
    assert caught.value.session_id == "user-1"
    with pytest.raises(SessionTooLarge):
        async with session.turn("user-1") as turn:
            await turn.add_items([message("x" * (room + 1))])
    await assert_free(session, "user-1")
    assert await bound.get_items() == [message("one")]

    async with session.turn("user-1") as turn:
        await turn.add_items([message("x" * room)])
    with pytest.raises(SessionTooLarge):
        await bound.add_items([message("")])
    assert await bound.get_items() == [message("one"), message("x" * room)]
    await bound.pop_item()
    await bound.add_items([message("usable")])


NAMES = [
    "plain",
    "session:usr_1:conv_1",
    "{braces}",
    "}{",
    "100%",
    "%7B%7D%25",
    "two\nlines\r\n",
    "\0",
    "nul\0inside",
    " ",
    "\t tab",
    "\u2028\u00a0\u3000",
    "grüße 🦊 日本語",
    "🦊" * 128,
    "x" * 512,
    "{" * 512,
    "*",
    "a?b[c]\\d",
    "'; DROP TABLE sessions; --",
    "../../etc/passwd",
    "\x7f\x80\x9f",
    "#1",
]


async def test_every_name_works_and_is_found_again(session: AnySession) -> None:
    for name in NAMES:
        await session.bind(name).add_items([message(name)])
        async with session.turn(name, turn_id=name[:64]) as turn:
            assert await turn.get_items() == [message(name)]
            await turn.add_items([message("more")])
        with pytest.raises(AlreadyCommitted) as caught:
            await session.turn(name, turn_id=name[:64]).__aenter__()
        assert caught.value.turn_id == name[:64]
    assert sorted([found async for found in session.scan()]) == sorted(NAMES)
    for name in NAMES:
        info = await session.info(name)
        assert info is not None
        assert info.session_id == name
        assert await session.bind(name).get_items() == [message(name), message("more")]
        assert await session.delete(name)
    assert [found async for found in session.scan()] == []


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("a?b", ["a b", "a%b", "a-b", "a{b"]),
        ("a[{ ]b", ["a b", "a{b"]),
        ("a[!-]b", ["a b", "a%b", "a{b"]),
        ("*b", ["a b", "a%b", "a-b", "a{b"]),
        ("a%b", ["a%b"]),
        ("a\\*", ["a\\c"]),
        ("[", []),
        ("*{*", ["a{b"]),
    ],
)
async def test_a_glob_means_the_same_everywhere(
    session: AnySession, glob: str, found: list[str]
) -> None:
    for name in ("a b", "a%b", "a-b", "a{b", "a\\c"):
        await session.bind(name).add_items([message("one")])
    assert sorted([name async for name in session.scan(glob)]) == found
