"""What goes into the codec comes out of it, types and order included."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.item_shapes import Shapes
from bench.train_dictionary import conversations
from tests.unit.codec_items import Item, items, nested, same, small_items
from turnwise.codec import Codec, EncodeError
from turnwise.codec.jsons import load
from turnwise.codec.walk import MAX_DEPTH

on, off = Codec(compression=True), Codec(compression=False)
codecs = pytest.mark.parametrize("codec", [on, off], ids=["compressed", "plain"])


@settings(deadline=None)
@given(items)
@example({})
@example({"n": float("nan"), "i": [float("inf"), float("-inf")], "z": -0.0})
@example({"big": 2**70, "\ud800": "\udc00", "pair": "\ud83d\ude00", "text": "😀" * 100})
@example(
    {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAAAA" + "x" * 5000, "unknown": {}}
)
@example(nested(MAX_DEPTH))
def test_an_item_comes_back(item: Item) -> None:
    for writer, reader in ((on, off), (off, on)):
        element = writer.encode(item)
        assert element[0] >= 0x10
        assert same(reader.decode(element), item)
        assert same(reader.decode(reader.raw(element)), item)
        assert reader.raw(element) == writer.dump(item)
        assert same(reader.decode(writer.pack(writer.dump(item))), item)


@settings(deadline=None)
@given(st.lists(st.tuples(small_items, st.sampled_from([on, off])), max_size=16))
def test_many_come_back_in_order(several: list[tuple[Item, Codec]]) -> None:
    expected = [item for item, _ in several]
    elements = [codec.encode(item) for item, codec in several]
    assert same(on.decode_many(elements), expected)
    assert on.raw_many(elements) == [off.encode(item) for item in expected]
    assert same(off.decode_many(on.raw_many(elements)), expected)


@pytest.mark.parametrize("size", [100, 2_000, 60_000])
def test_more_than_is_decompressed_at_once(size: int) -> None:
    several: list[Item] = [{"text": chr(97 + n % 26) * size, "n": n} for n in range(200)]
    elements = [on.encode(item) for item in several]
    assert {element[0] for element in elements} == {0x12}
    assert same(on.decode_many(elements), several)


@codecs
def test_the_real_conversations_come_back(codec: Codec) -> None:
    learned, held_out = conversations()
    several = [load(text) for text in learned + held_out]
    elements = [codec.encode(item) for item in several]
    assert same(codec.decode_many(elements), several)
    assert same(codec.decode_many(elements[:1000]), several[:1000])


def test_the_real_conversations_take_less_than_two_fifths() -> None:
    learned, held_out = conversations()
    texts = learned + held_out
    assert sum(map(len, map(on.pack, texts))) < 0.4 * sum(map(len, texts))


def test_every_shape_of_the_api_comes_back_and_gets_smaller() -> None:
    several = list(Shapes(seed=5).items(500))
    elements = [on.encode(item) for item in several]
    assert same(on.decode_many(elements), several)
    assert sum(map(len, elements)) < 0.5 * sum(len(off.encode(item)) for item in several)


@codecs
@pytest.mark.parametrize("size", [0, 1, 200, 255, 256, 65_000, 66_000, 300_000])
@pytest.mark.parametrize("unit", ["a", "ü", "\ud800"])
def test_strings_of_any_size(codec: Codec, size: int, unit: str) -> None:
    item = {"text": unit * size}
    element = codec.encode(item)
    assert same(on.decode(element), item)
    assert same(off.decode_many([element] * 9), [item] * 9)


def test_compression_never_makes_an_item_longer() -> None:
    for item in ({}, {"a": 1}, {"noise": bytes(range(32, 127)).decode()}):
        assert len(on.encode(item)) <= len(off.encode(item))


class Colour(StrEnum):
    RED = "red"


class Number(IntEnum):
    ONE = 1


@codecs
@pytest.mark.parametrize(
    ("item", "stored"),
    [
        ({"t": (1, 2)}, {"t": [1, 2]}),
        (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
        (MappingProxyType({"m": MappingProxyType({})}), {"m": {}}),
        ({"e": Colour.RED, "n": Number.ONE}, {"e": "red", "n": 1}),
        ({Colour.RED: True}, {"red": True}),
    ],
)
def test_what_derives_from_json_types_is_stored_as_them(
    codec: Codec, item: Mapping[str, Any], stored: Item
) -> None:
    assert same(codec.decode(codec.encode(item)), stored)


class Model:
    def model_dump(self) -> None: ...


CYCLE: Item = {}
CYCLE["self"] = [CYCLE]


@codecs
@pytest.mark.parametrize(
    ("item", "said"),
    [
        ("text", "item is str, not a mapping"),
        ([{}], "item is list, not a mapping"),
        ({1: 2}, "item has a key that is int, not str"),
        ({"a": {None: 1}}, r"item\['a'\] has a key that is NoneType"),
        ({"a": [0, b"secret"]}, r"item\['a'\]\[1\] is bytes.*pass a string, such as base64"),
        ({"a": {1}}, "set.*pass a list"),
        ({"a": datetime.now(UTC)}, "datetime.*isoformat"),
        ({"a": Model()}, "Model.*model_dump"),
        (CYCLE, "contains itself"),
        (nested(MAX_DEPTH + 1), "nested more than 200 levels"),
        (nested(5_000), "nested more than 200 levels"),
        ({"a": 10**4300}, "more than 4,300 digits"),
        ({"a": object()}, r"\['a'\] is object"),
    ],
)
def test_what_is_not_json_is_refused(codec: Codec, item: Any, said: str) -> None:
    with pytest.raises(EncodeError, match=said) as caught:
        codec.encode(item)
    assert "secret" not in str(caught.value)


def test_an_item_is_not_changed_by_encoding_it() -> None:
    item: Item = {"t": (1, [2.0, float("nan")]), "d": {"k": "\ud800"}}
    before = repr(item)
    on.encode(item)
    assert repr(item) == before
