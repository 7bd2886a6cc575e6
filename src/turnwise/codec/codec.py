"""Items as the bytes that stores keep. An element's first byte says what it is.

    below 0x10   not an item: the markers and records of a store
    0x10         loose JSON (jsons.py)
    0x11         a zstd frame without a dictionary
    0x12         a zstd frame with the dictionary items-1.zdict
    `{`          JSON, stored as it is

A frame holds JSON, plain or loose: the *raw* element. A first byte never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnwise.codec.elements import FIRST_ITEM_BYTE
from turnwise.codec.errors import DecodeError, EncodedTooLarge
from turnwise.codec.jsons import (
    BRACE,
    LOAD_FAULTS,
    LOOSE,
    dump,
    load,
    load_joined,
    load_plain,
)
from turnwise.codec.zstd import (
    ALONE,
    DESCRIPTOR,
    ITEMS_1,
    MAX_RAW,
    SIZE_IN_4_BYTES,
    Zstd,
    ZstdError,
)

# Under this many elements, joining them costs more than it saves.
_WORTH_JOINING = 8
_RAW = (BRACE, LOOSE)
_FAULTS = (*LOAD_FAULTS, ZstdError, IndexError, MemoryError)


class Codec:
    """Items to bytes and back, exactly: `decode(encode(item)) == item`, types included.

    `compression` affects writing only; any codec reads what any other wrote. Threads may
    share a codec.
    """

    def __init__(self, *, compression: bool = True) -> None:
        self._compression = compression
        self._zstd = Zstd()

    def encode(self, item: Mapping[str, Any]) -> bytes:
        """The element of `item`. Raises EncodeError if it is not a JSON object."""
        return self.pack(self.dump(item))

    def dump(self, item: Mapping[str, Any]) -> bytes:
        """The raw element of `item`: without compression.

        Raises EncodeError: EncodedTooLarge if it takes more than MAX_RAW, which no reader accepts.
        """
        raw = dump(item)
        if len(raw) > MAX_RAW:
            raise EncodedTooLarge(len(raw), MAX_RAW)
        return raw

    def pack(self, raw: bytes) -> bytes:
        """The element to store for a raw one: compressed, where that is on and makes it shorter."""
        return self._zstd.compress(raw) if self._compression else raw

    def decode(self, data: bytes) -> dict[str, Any]:
        """The item of an element. Raises DecodeError."""
        return load(self.raw(data))

    def raw(self, data: bytes) -> bytes:
        """The raw element: JSON, or loose JSON after its first byte.

        It is an element too, so `decode` takes it. The JSON is not checked. Raises DecodeError.
        """
        first = data[:1]
        if first == b"{" or first == b"\x10":
            return data
        if first != b"\x12" and first != b"\x11":
            raise DecodeError(_not_an_item(data))
        raw = self._zstd.decompress(data)
        if raw[:1] != b"{" and raw[:1] != b"\x10":
            raise DecodeError("the zstd frame holds no item")
        return raw

    def decode_many(self, elements: Sequence[bytes]) -> list[dict[str, Any]]:
        """The items of `elements`, in order; much faster than one by one.

        Raises DecodeError, whose `index` names the first element that is no item.
        """
        if not elements:
            return []
        try:
            items = self._decode_joined(elements)
            return self._decode_each(elements) if items is None else items
        except _FAULTS:
            return [self._decode_at(index, data) for index, data in enumerate(elements)]

    def raw_many(self, elements: Sequence[bytes]) -> list[bytes]:
        """What `raw` gives for each of `elements`. Raises DecodeError with `index`."""
        if not elements:
            return []
        try:
            raw = self._raw_each(elements)
            if all(element[0] in _RAW for element in raw):
                return raw
        except _FAULTS:
            pass
        # The slow way names the first that is damaged.
        return [self._raw_at(index, data) for index, data in enumerate(elements)]

    def _raw_each(self, elements: Sequence[bytes]) -> list[bytes]:
        decompress = self._zstd.decompressor.decompress
        return [
            data
            if (first := data[0]) == BRACE
            else decompress(data[1:], *ALONE)
            if first == ITEMS_1 and data[DESCRIPTOR] < SIZE_IN_4_BYTES
            else self.raw(data)
            for data in elements
        ]

    def _decode_joined(self, elements: Sequence[bytes]) -> list[dict[str, Any]] | None:
        """The items, if all elements are frames with the dictionary; else None."""
        if len(elements) < _WORTH_JOINING or elements[0][0] != ITEMS_1:
            return None
        raw = self._zstd.decompress_joined(elements)
        if raw is None:
            return None
        items = load_joined(raw)
        return items if len(items) == len(elements) else None

    def _decode_each(self, elements: Sequence[bytes]) -> list[dict[str, Any]]:
        decompress = self._zstd.decompressor.decompress
        return [
            load_plain(data)
            if (first := data[0]) == BRACE
            else load_plain(decompress(data[1:], *ALONE))
            if first == ITEMS_1 and data[DESCRIPTOR] < SIZE_IN_4_BYTES
            else self.decode(data)
            for data in elements
        ]

    def _decode_at(self, index: int, data: bytes) -> dict[str, Any]:
        try:
            return self.decode(data)
        except DecodeError as error:
            raise DecodeError(str(error), index=index) from None

    def _raw_at(self, index: int, data: bytes) -> bytes:
        try:
            return self.raw(data)
        except DecodeError as error:
            raise DecodeError(str(error), index=index) from None


def _not_an_item(data: bytes) -> str:
    if not data:
        return "the element is empty"
    if data[0] < FIRST_ITEM_BYTE:
        return f"the element is a marker (first byte 0x{data[0]:02x}), not an item"
    return f"unknown first byte 0x{data[0]:02x}: a newer version may have written it"
