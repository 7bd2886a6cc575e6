"""An item as JSON: by msgspec where that is exact, else *loose*, by the standard library.

Loose JSON begins with a byte of its own. It can hold what proper JSON cannot (NaN, the infinities)
and what UTF-8 cannot (lone surrogates).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from turnwise.codec.errors import DecodeError, EncodeError
from turnwise.codec.walk import checked, is_plain

BRACE = 0x7B
LOOSE = 0x10

_encode = msgspec.json.Encoder().encode
# A high surrogate before a low one, as two characters: escaped, they would be read as one.
_SPLIT_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")

# By msgspec, from JSON that begins with a brace; for many calls in a row.
load_plain = msgspec.json.Decoder(dict[str, Any]).decode
# From JSON objects one after the other; they need no separator.
load_joined = msgspec.json.Decoder(dict[str, Any]).decode_lines
# What the two raise for anything else.
LOAD_FAULTS = (msgspec.MsgspecError, ValueError, RecursionError)


def dump(item: Mapping[str, Any]) -> bytes:
    """The raw element of `item`; it begins with BRACE or LOOSE. Raises EncodeError."""
    exact, finite = (item, True) if type(item) is dict and is_plain(item) else checked(item)
    try:
        return _dump_plain(exact) if finite else _dump_loose(exact)
    except ValueError:
        # The process has set a lower limit for integers than Python's own.
        raise EncodeError("an integer in item has more digits than Python may convert") from None


def load(raw: bytes) -> dict[str, Any]:
    """The item of a raw element, which begins with BRACE or LOOSE. Raises DecodeError."""
    try:
        return load_plain(raw) if raw[0] == BRACE else _load_loose(raw)
    except RecursionError:
        raise DecodeError("the JSON is nested too deeply") from None
    except msgspec.MsgspecError as error:
        raise DecodeError(str(error)) from None
    except ValueError:
        # Raised from None: these errors carry the content they failed on.
        raise DecodeError("the JSON is malformed") from None


def _dump_plain(item: Mapping[str, Any]) -> bytes:
    try:
        return _encode(item)
    except UnicodeEncodeError:
        return _dump_loose(item)


def _dump_loose(item: Mapping[str, Any]) -> bytes:
    text = json.dumps(item, ensure_ascii=False, separators=(",", ":"))
    if not _SPLIT_PAIR.search(text):
        text = json.dumps(item, separators=(",", ":"))
    return bytes([LOOSE]) + text.encode("utf-8", "surrogatepass")


def _load_loose(raw: bytes) -> dict[str, Any]:
    item = json.loads(raw[1:].decode("utf-8", "surrogatepass"))
    if type(item) is not dict:
        raise ValueError
    return item
