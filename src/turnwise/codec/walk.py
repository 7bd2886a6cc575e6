"""The check of a value before it becomes JSON: JSON libraries accept, and alter, too much.

`is_plain` is fast and only says whether a value is certain to survive unchanged. For the few that
are not, `checked` makes a copy of plain values, or says what is wrong and where.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import date, time
from math import isfinite
from typing import Any

from turnwise.codec.errors import EncodeError

# Far more than is useful, and low enough for any caller's recursion limit.
MAX_DEPTH = 200
# By default Python reads no integer of more than 4,300 digits, so none is written.
_BEYOND = 10**4300
_TEXT = frozenset({str})
_PLAIN = frozenset({str, bool, type(None)})
_KEY_SHOWN = 40


def is_plain(value: object, room: int = MAX_DEPTH) -> bool:
    """Whether `value` is a dict, list or tuple of exact JSON types, all of them finite.

    `room` is how many levels deeper it may go. Strings are not looked at.
    """
    kind = type(value)
    members: Collection[Any]
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):  # type: ignore[call-overload]  # mypy does not narrow by `type() is`
            return False
        members = value.values()  # type: ignore[attr-defined]  # as above
    elif kind is list or kind is tuple:
        members = value  # type: ignore[assignment]  # as above
    else:
        return False
    for member in members:
        if type(member) not in _PLAIN and not _is_plain_member(member, room):
            return False
    return True


def _is_plain_member(value: object, room: int) -> bool:
    kind = type(value)
    if kind is int:
        return -_BEYOND < value < _BEYOND  # type: ignore[operator]  # as above
    if kind is float:
        return isfinite(value)  # type: ignore[arg-type]  # as above
    return room > 0 and is_plain(value, room - 1)


def checked(item: object) -> tuple[dict[str, Any], bool]:
    """A copy of `item` in exact JSON types, and whether all its numbers are finite.

    Subclasses count as what they derive from, tuples as lists, any mapping as a dict.
    Raises EncodeError for what has no JSON form.
    """
    if not isinstance(item, Mapping):
        raise EncodeError(f"item is {_named(item)}, not a mapping{_hint(item)}")
    walk = _Walk()
    return walk.mapping(item), walk.finite


class _Walk:
    """One careful pass: it knows its path, and the containers around it."""

    def __init__(self) -> None:
        self.finite = True
        self._path: list[str | int] = []
        self._open: set[int] = set()

    def mapping(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        self._enter(value)
        copy: dict[str, Any] = {}
        for key, member in value.items():
            name = self._key(key)
            if name in copy:
                raise self._error("has two equal keys")
            copy[name] = self._member(name, member)
        self._open.remove(id(value))
        return copy

    def _sequence(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        self._enter(value)
        copy = [self._member(index, member) for index, member in enumerate(value)]
        self._open.remove(id(value))
        return copy

    def _enter(self, value: object) -> None:
        if id(value) in self._open:
            raise self._error("contains itself")
        if len(self._path) > MAX_DEPTH:
            raise self._error(f"is nested more than {MAX_DEPTH} levels deep")
        self._open.add(id(value))

    def _key(self, key: object) -> str:
        if not isinstance(key, str):
            raise self._error(f"has a key that is {_named(key)}, not str")
        return str.__str__(key)

    def _member(self, step: str | int, value: object) -> Any:
        self._path.append(step)
        copy = self._value(value)
        self._path.pop()
        return copy

    def _value(self, value: object) -> Any:
        # The methods of the base types are called by name: a subclass may have its own.
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return self._integer(int.__int__(value))
        if isinstance(value, float):
            return self._float(float.__float__(value))
        if isinstance(value, Mapping):
            return self.mapping(value)
        if isinstance(value, (list, tuple)):
            return self._sequence(value)
        raise self._error(f"is {_named(value)}, which JSON does not have{_hint(value)}")

    def _integer(self, value: int) -> int:
        if not -_BEYOND < value < _BEYOND:
            raise self._error("is an integer of more than 4,300 digits")
        return value

    def _float(self, value: float) -> float:
        self.finite = self.finite and isfinite(value)
        return value

    def _error(self, what: str) -> EncodeError:
        return EncodeError(f"{_rendered(self._path)} {what}")


def _rendered(path: list[str | int]) -> str:
    """The path as Python would index it; of a very deep one, both ends."""
    steps = [f"[{step if isinstance(step, int) else _shown(step)}]" for step in path]
    if len(steps) > 12:
        steps[6:-6] = ["[...]"]
    return "item" + "".join(steps)


def _shown(key: str) -> str:
    return repr(key if len(key) <= _KEY_SHOWN else key[:_KEY_SHOWN] + "...")


def _named(value: object) -> str:
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


def _hint(value: object) -> str:
    if callable(getattr(type(value), "model_dump", None)):
        return "; pass a dict: .model_dump(exclude_unset=True)"
    if isinstance(value, (bytes, bytearray, memoryview)):
        return "; pass a string, such as base64"
    if isinstance(value, (set, frozenset)):
        return "; pass a list"
    if isinstance(value, (date, time)):
        return "; pass a string: .isoformat()"
    return ""
