"""Items for the codec's tests: all that JSON can hold, and equality down to the types."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

Item = dict[str, Any]

# Lone surrogates included, and pairs of them that were never one character.
texts = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [
        "\ud83d\ude00",
        "\ud83d",
        "\ude00",
        "\udc80",
        "\0",
        "\x7f\x80",
        "\u2028",
        "😀",
        "e\u0301",
        '"\\/',
    ]
)
integers = (
    st.integers()
    | st.integers(-(2**80), 2**80)
    | st.sampled_from([2**53 + 1, 2**63, 2**64, -(2**63) - 1, 2**70, 10**4299])
)
floats = st.floats() | st.sampled_from([0.1, -0.0, 1e16, 1e22, 5e-324, 1.7976931348623157e308])
scalars = st.none() | st.booleans() | texts | integers | floats
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)
items = st.dictionaries(texts, values, max_size=6)
small_items = st.dictionaries(texts, scalars, max_size=3)


def same(left: object, right: object) -> bool:
    """Equal, and of the same types all the way down; NaN is NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        both_nan = math.isnan(left) and math.isnan(right)
        return both_nan or (left == right and math.copysign(1, left) == math.copysign(1, right))
    return left == right


def nested(depth: int) -> Item:
    """Dicts and lists in turn, `depth` levels of them below the item itself."""
    value: Any = "the end"
    for level in range(depth):
        value = [value] if level % 2 else {"in": value}
    return {"top": value}
