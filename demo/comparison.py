"""Whether a history is the recorded one, and where it first is not."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import Any

COMPARED = {
    "message": ("role", "content"),
    "function_call": ("call_id", "name", "arguments"),
    "function_call_output": ("call_id", "output"),
}
"""What is compared of each type of item, besides the type. The SDK adds ids and a status."""

_AROUND = 24


def difference(recorded: Sequence[Any], found: Sequence[Any]) -> str | None:
    """The first item in which `found` is not as recorded, in readable lines; None if equal."""
    for number, (ours, theirs) in enumerate(zip_longest(recorded, found), start=1):
        if ours is None or theirs is None or essence(ours) != essence(theirs):
            place = f"item {number} of {len(recorded)} recorded and {len(found)} found"
            return f"{place}\n{_difference(ours, theirs)}"
    return None


def essence(item: Any) -> dict[str, Any]:
    """What is compared of an item: all of it, if it is of a type that was never recorded."""
    if not isinstance(item, Mapping):
        return {"not an item": item}
    kind = item.get("type", "message" if "role" in item else None)
    fields = COMPARED.get(str(kind))
    if fields is None:
        return dict(item)
    return {"type": kind} | {name: _plain(item.get(name)) for name in fields}


def _plain(value: Any) -> Any:
    """The text of a content that is a list of one part, as the Responses API spells it."""
    match value:
        case [{"type": "output_text" | "input_text", "text": str(text)}]:
            return text
    return value


def _difference(ours: Any, theirs: Any) -> str:
    if ours is None:
        return f"  recorded  nothing\n  found     {_short(essence(theirs))}"
    if theirs is None:
        return f"  recorded  {_short(essence(ours))}\n  found     nothing"
    left, right = essence(ours), essence(theirs)
    if left["type"] != right.get("type"):
        return f"  recorded  {_short(left)}\n  found     {_short(right)}"
    name = next(name for name in left if left[name] != right.get(name))
    return _texts(f"{left['type']}, {name}", _text(left[name]), _text(right.get(name)))


def _texts(what: str, ours: str, theirs: str) -> str:
    pairs = enumerate(zip_longest(ours, theirs))
    at = next((at for at, (one, other) in pairs if one != other), 0)
    window = slice(max(0, at - _AROUND), at + 2 * _AROUND)
    return (
        f"  {what}, from character {at + 1} on\n"
        f"  recorded  …{ours[window]}…\n"
        f"  found     …{theirs[window]}…"
    )


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _short(item: Mapping[str, Any]) -> str:
    text = _text(item)
    return text if len(text) <= 100 else f"{text[:99]}…"
