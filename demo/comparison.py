"""Compares a stored history with the recorded one, and describes the first difference."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

COMPARED_FIELDS = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
"""By type of item, which is compared too. The SDK adds ids and a status to what was recorded."""

_CONTEXT = 24  # characters before a difference


def difference(recorded: Sequence[Any], found: Sequence[Any]) -> str | None:
    """Describe the first item of `found` that is not as recorded; None if all are."""
    for number, (expected, actual) in enumerate(zip_longest(recorded, found), start=1):
        if expected is None or actual is None or comparable(expected) != comparable(actual):
            position = f"item {number} of {len(recorded)} recorded and {len(found)} found"
            return f"{position}\n{_describe(expected, actual)}"
    return None


def comparable(item: Any) -> dict[str, Any]:
    """The fields of an item that are compared; all of them if the recording has no such type."""
    if not isinstance(item, Mapping):
        return {"not an item": item}
    kind = item.get("type", "message" if "role" in item else None)
    fields = COMPARED_FIELDS.get(str(kind))
    if fields is None:
        return dict(item)
    return {"type": kind} | {name: _plain(item.get(name)) for name in fields}


def _plain(value: Any) -> Any:
    """Unwrap content that is a list of one text part, as the Responses API writes it."""
    match value:
        case [{"type": "output_text" | "input_text", "text": str(text)}]:
            return text
    return value


def _describe(expected: Any, actual: Any) -> str:
    if expected is None:
        return f"  recorded  nothing\n  found     {_short(comparable(actual))}"
    if actual is None:
        return f"  recorded  {_short(comparable(expected))}\n  found     nothing"
    left, right = comparable(expected), comparable(actual)
    if left["type"] != right.get("type"):
        return f"  recorded  {_short(left)}\n  found     {_short(right)}"
    name = next(name for name in left if left[name] != right.get(name))
    return _describe_texts(f"{left['type']}, {name}", _text(left[name]), _text(right.get(name)))


def _describe_texts(field: str, expected: str, actual: str) -> str:
    pairs = enumerate(zip_longest(expected, actual))
    start = next((index for index, (one, other) in pairs if one != other), 0)
    excerpt = slice(max(0, start - _CONTEXT), start + 2 * _CONTEXT)
    return (
        f"  {field}, from character {start + 1} on\n"
        f"  recorded  …{expected[excerpt]}…\n"
        f"  found     …{actual[excerpt]}…"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(item: Mapping[str, Any]) -> str:
    text = _text(item)
    return text if len(text) <= 100 else f"{text[:99]}…"
