"""Names of sessions, what is bound to them, and how many items they answer."""

from __future__ import annotations

from typing import Any

import pytest
from agents import SessionSettings
from hypothesis import example, given
from hypothesis import strategies as st

from turnwise import MemorySession, make_session_id
from turnwise.errors import InvalidSessionId
from turnwise.session import Session

parts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20) | st.text(
    ":%/{}25A3 é", min_size=1, max_size=8
)
FIVE: list[Any] = [{"role": "user", "content": str(number)} for number in range(5)]


@given(parts, parts, parts, parts)
@example("a:b", "c", "a", "b:c")
@example("a%3A", "b", "a:", "b")
@example("a%", "b", "a%25", "b")
def test_different_pairs_get_different_ids(a: str, b: str, c: str, d: str) -> None:
    assert (make_session_id(a, b) == make_session_id(c, d)) == ((a, b) == (c, d))
    prefix, first, second = make_session_id(a, b).split(":")
    assert prefix == "session"
    assert first
    assert second


@pytest.mark.parametrize(
    ("user", "conversation", "expected"),
    [
        ("usr_1", "conv_1", "session:usr_1:conv_1"),
        ("jörg", "你好", "session:jörg:你好"),
        ("a b", "c/d@e", "session:a b:c/d@e"),
        ("a:b", "50%", "session:a%3Ab:50%25"),
    ],
)
def test_an_id_can_be_read(user: str, conversation: str, expected: str) -> None:
    assert make_session_id(user, conversation) == expected


def test_a_bound_session_shares_all_but_its_name_and_settings() -> None:
    unbound = MemorySession(limit=3)
    bound = unbound.bind("a")
    assert isinstance(bound, MemorySession)
    assert (unbound.session_id, bound.session_id) == ("", "a")
    assert bound.runtime is unbound.runtime
    assert bound.bind("b").session_id == "b"
    assert bound.session_id == "a"
    with pytest.raises(InvalidSessionId):
        unbound.bind("")


@pytest.mark.parametrize(
    ("made", "bound", "expected"),
    [
        ({}, {}, None),
        ({"limit": 3}, {}, 3),
        ({"limit": 3}, {"limit": 2}, 2),
        ({"limit": 3}, {"session_settings": SessionSettings(limit=2)}, 2),
        ({"limit": 3}, {"session_settings": SessionSettings()}, None),
        ({"session_settings": SessionSettings(limit=4)}, {}, 4),
        ({"session_settings": {"limit": 4}}, {}, 4),
        ({"session_settings": SessionSettings(limit=4), "limit": 1}, {}, 1),
        ({}, {"session_settings": {"limit": 2}}, 2),
        ({"limit": 3}, {"limit": 0}, 0),
    ],
)
async def test_the_nearest_limit_counts(
    made: dict[str, Any], bound: dict[str, Any], expected: int | None
) -> None:
    session: Session = MemorySession(**made).bind("s", **bound)
    await session.add_items(FIVE)
    assert session.limit == expected
    last = FIVE if expected is None else FIVE[len(FIVE) - expected :]
    assert await session.get_items() == last
    assert await session.get_items(5) == FIVE
    async with session.turn() as turn:
        assert await turn.get_items() == last
        assert await turn.get_items(5) == FIVE
    assert await session.get_items(-1) == FIVE
    assert await session.get_items(2**31 - 1) == FIVE


async def test_the_settings_can_be_changed_for_one_session_alone() -> None:
    settings = SessionSettings(limit=4)
    unbound = MemorySession(session_settings=settings)
    one, other = unbound.bind("s"), unbound.bind("s")
    assert one.session_settings is not None
    one.session_settings.limit = 1
    await one.add_items(FIVE)
    assert await one.get_items() == FIVE[-1:]
    assert await other.get_items() == FIVE[-4:]
    assert (unbound.limit, settings.limit) == (4, 4)
    other.session_settings = None
    assert await other.get_items() == FIVE
    assert other.bind("s").limit is None


async def test_one_object_serves_many_sessions() -> None:
    session = MemorySession()
    for name in ("a", "b", "c"):
        await session.bind(name).add_items([{"role": "user", "content": name}])
    async with session.turn("a") as turn, session.turn("b") as other:
        assert await turn.get_items() == [{"role": "user", "content": "a"}]
        assert (turn.session_id, other.session_id) == ("a", "b")
        assert (turn.attempt, other.attempt) == (1, 1)
        assert turn.turn_id != other.turn_id
    assert sorted([name async for name in session.scan("*")]) == ["a", "b", "c"]
    assert await session.delete("b")
    assert not await session.delete("b")
    assert await session.bind("b").get_items() == []
    assert await session.info("b") is None
    assert await session.expire("a", 60)
    info = await session.info("a")
    assert info is not None
    assert 0 < (info.expires_in or 0) <= 60_000
    assert await session.expire("a", None)
    assert not await session.expire("b", 60)


async def test_adding_nothing_and_changing_nothing_creates_nothing() -> None:
    session = MemorySession(session_id="s")
    await session.add_items([])
    await session.clear_session()
    assert await session.pop_item() is None
    async with session.turn() as turn:
        assert await turn.pop_item() is None
        await turn.clear_session()
        await turn.add_items([])
    assert await session.info() is None
