"""How pages show times, sizes and texts."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import metadata
from typing import Any
from urllib.parse import quote

from turnwise.printable import printable
from turnwise.types import TokenUsage

_UNITS = (("d", 86_400), ("h", 3600), ("min", 60))
_SIZES = ("B", "KiB", "MiB", "GiB")
_THOUSAND = 1024


def version() -> str:
    """Of Turnwise."""
    return metadata.version("turnwise")


def age(seconds: float | None) -> str:
    """A length of time: `3 min`."""
    if seconds is None:
        return "–"
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"


def at(seconds: float | None) -> str:
    """A point in time, in UTC."""
    if seconds is None:
        return "–"
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


def size(count: int) -> str:
    """A number of bytes: `1.2 MiB`."""
    value, unit = float(count), 0
    while value >= _THOUSAND and unit < len(_SIZES) - 1:
        value, unit = value / _THOUSAND, unit + 1
    return f"{value:.0f} {_SIZES[unit]}" if unit == 0 else f"{value:.1f} {_SIZES[unit]}"


def number(value: float) -> str:
    """With a thin space between thousands."""
    return f"{value:,}".replace(",", "\u2009")


def name(text: str | None) -> str:
    """An id or a name on one line: what no screen shows is escaped."""
    return "–" if not text else printable(text, 600)


def usage(used: TokenUsage) -> str:
    """Tokens in and out; "" if none were used."""
    if not used.counts:
        return ""
    return f"{number(used.input_tokens)} tokens in, {number(used.output_tokens)} out"


def coded(text: str) -> str:
    """An id as a form carries it: see `Form.ids`."""
    return quote(text, safe="")


def shown_json(value: Any) -> str:
    """A value as people read JSON; a text as it is."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, indent=2)


FILTERS: dict[str, Callable[..., str]] = {
    "age": age,
    "at": at,
    "size": size,
    "number": number,
    "name": name,
    "as_json": shown_json,
    "coded": coded,
    "usage": usage,
}
