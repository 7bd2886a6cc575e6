"""Long strings that a record has in common with its turn's items: stored once, in the items.

A tool's image, say. The record says where they are, as MessagePack extensions.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec.msgpack import Ext

_CODE = 1
_PLACE = struct.Struct(">III")
_LONG = 128
"""From this length on a string is looked for in the items."""
_LONGER = 4096
"""From this length on also inside of longer strings: in the text of a dict, say."""


class SharedStrings:
    """The long strings in a turn's items."""

    def __init__(self, items: Sequence[Any]) -> None:
        self._items = items

    @cached_property
    def _strings(self) -> list[str]:
        return list(dict.fromkeys(_long_strings(self._items)))

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {string: number for number, string in enumerate(self._strings)}

    def without(self, value: Any) -> Any:
        """The value, with the places of those strings that the items have."""
        if isinstance(value, str):
            place = self._place(value) if len(value) >= _LONG else None
            return value if place is None else Ext(_CODE, _PLACE.pack(*place))
        if isinstance(value, Mapping):
            return {key: self.without(member) for key, member in value.items()}
        if isinstance(value, list | tuple):
            return [self.without(member) for member in value]
        return value

    def at(self, code: int, place: memoryview) -> str:
        """The string at a place. Raises IndexError if the items have changed."""
        number, start, length = _PLACE.unpack(place)
        string: str = self._strings[number]
        return string[start : start + length]

    def _place(self, string: str) -> tuple[int, int, int] | None:
        number = self._numbers.get(string)
        if number is not None:
            return number, 0, len(string)
        if len(string) >= _LONGER:
            for number, other in enumerate(self._strings):
                if (start := other.find(string)) >= 0:
                    return number, start, len(string)
        return None


def _long_strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if len(value) >= _LONG:
            yield value
    elif isinstance(value, Mapping):
        for member in value.values():
            yield from _long_strings(member)
    elif isinstance(value, list | tuple):
        for member in value:
            yield from _long_strings(member)
