"""Items come back exactly as they went in, whatever JSON libraries make of them."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.integration.stores import KINDS, Sessions, sessions_of
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="module")


sessions = sessions_of(KINDS)


def nested(depth: int) -> Any:
    value: Any = "inside"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


ODD: dict[str, Any] = {
    "unknown fields": {"type": "from_2031", "x-new": {"a": [1, None, True, {"b": []}]}},
    "no field": {},
    "unicode": {"role": "user", "content": "ünï 你好 🎉 \u2028 \x00 \x1f \ufeff \uffff"},
    "a lone surrogate": {"role": "user", "content": "\ud83d"},
    "two halves of a pair as two characters": {"role": "user", "content": "\ud83d" + "\ude00"},
    "a surrogate in a key": {"\udc00": 1},
    "NaN": {"value": math.nan},
    "infinities": {"value": [math.inf, -math.inf]},
    "a large integer": {"value": [2**70, -(2**70), 2**53 + 1, 2**64]},
    "minus zero": {"value": [-0.0, 0.0, 0, -0]},
    "float and integer": {"value": [1.0, 1, True, 1e300, 5e-324, 0.1]},
    "long encrypted content": {
        "type": "message",
        "role": "assistant",
        "encrypted_content": "gAAAA" + "QxZ9" * 25_000,
    },
    "depth": {"value": nested(190)},
    "what looks like an end of an item": {"value": '"}\n{"role":"user"}\n'},
    "an empty name": {"": {"": ""}},
}


def exactly(one: Any, other: Any) -> bool:
    """Equal in every type, in signs of zero, in order of names, and where NaN is no number."""
    return type(one) is type(other) and repr(one) == repr(other)


@pytest.mark.parametrize("reads_compressing", [True, False])
@pytest.mark.parametrize("compresses", [True, False])
async def test_odd_items_come_back(
    sessions: Sessions, compresses: bool, reads_compressing: bool
) -> None:
    name = sessions.new_id()
    writer = sessions.worker(compression=compresses).bind(name)
    reader = sessions.worker(compression=reads_compressing).bind(name)
    items: list[Any] = list(ODD.values())
    await writer.add_items(items)
    async with reader.turn() as turn:
        await turn.add_items(items)
        assert exactly(await turn.get_items(), [*items, *items])
    for session in (writer, reader, sessions.worker().bind(name)):
        assert exactly(await session.get_items(), [*items, *items])
    for item in reversed(items):
        assert exactly(await writer.pop_item(), item)
    assert exactly(await reader.get_items(), items)


@pytest.mark.parametrize("odd", ODD)
async def test_each_of_them_alone(sessions: Sessions, worker: Session, odd: str) -> None:
    session = worker.bind(sessions.new_id())
    item: Any = ODD[odd]
    await session.add_items([item])
    assert exactly(await session.get_items(), [item])


any_text = st.text(st.characters(), max_size=8)
any_json: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(any_text, inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=40, deadline=None)
@given(items=st.lists(st.dictionaries(any_text, any_json, max_size=5), max_size=12))
async def test_any_json_comes_back(sessions: Sessions, worker: Session, items: list[Any]) -> None:
    session = worker.bind(sessions.new_id())
    items = [{**item, "type": "from_2031"} for item in items]
    await session.add_items(items)
    assert exactly(await session.get_items(), items)
