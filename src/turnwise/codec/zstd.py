"""Raw elements in zstd frames. Most are short, so a dictionary of typical items is shipped.

An element's first byte names the dictionary, so frames carry no dictionary id. A released
dictionary never changes; another one gets another first byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from threading import local

import zstandard

from turnwise.codec.errors import DecodeError

BARE = 0x11
ITEMS_1 = 0x12

_FRAMES = (bytes([BARE]), bytes([ITEMS_1]))

MAX_RAW = 64 * 1024 * 1024
MAX_EXPANSION = 64
"""How many times as much as it is counted in its session's size an element may decode to."""
_LEVEL = 3
# From here on the dictionary gains little, and a frame without one opens with any zstd tool.
_NO_DICTIONARY_FROM = 64 * 1024
# Above these, joining the frames of a sequence gains nothing, or would take too much memory.
_MAX_JOINED_FRAMES = 256 * 1024
_MAX_JOINED_RAW = 4 * 1024 * 1024
# Appended to the last frame: nobody would notice otherwise if that frame's checksum were cut off.
_EMPTY_FRAME = zstandard.ZstdCompressor().compress(b"")
# Where an element holds its frame's header descriptor: after the first byte and zstd's magic.
DESCRIPTOR = 5
# By then a frame's header has ended, with the size of the content.
_HEADER = 19
# The last arguments of a decompression: any size, one frame, nothing after it. Passing them by
# position is faster than by name.
ALONE = (0, False, False)
# A smaller descriptor declares a content of less than 65,792 bytes, or none.
SIZE_IN_4_BYTES = 0x80

ZstdError = zstandard.ZstdError


class _Contexts(local):
    """Compression and decompression contexts: one serves one thread, so each has its own."""

    def __init__(self) -> None:
        self.compressor = _compressor(_dictionary())
        self.bare_compressor = _compressor(None)
        self.decompressor = _decompressor(_dictionary())
        self.bare_decompressor = _decompressor(None)


class Zstd:
    """Compression and decompression, for any number of threads."""

    def __init__(self) -> None:
        self._contexts = _contexts()

    def compress(self, raw: bytes) -> bytes:
        """An element that holds `raw` in a frame, or `raw` itself where that is not longer."""
        if len(raw) < _NO_DICTIONARY_FROM:
            element = b"\x12" + self._contexts.compressor.compress(raw)
        else:
            element = b"\x11" + self._contexts.bare_compressor.compress(raw)
        return element if len(element) < len(raw) else raw

    def decompress(self, element: bytes) -> bytes:
        """The raw element in one that begins with BARE or ITEMS_1. Raises DecodeError."""
        frame = element[1:]
        contexts = self._contexts
        decompressor = contexts.bare_decompressor if element[0] == BARE else contexts.decompressor
        try:
            size = zstandard.frame_content_size(frame)
            if size < 0:
                raise DecodeError("the zstd frame does not declare its size")
            if size > MAX_RAW:
                raise DecodeError(f"the zstd frame declares {size} bytes, more than {MAX_RAW}")
            return decompressor.decompress(frame, *ALONE)
        except ZstdError:
            raise DecodeError("the zstd frame is damaged") from None

    def decompress_joined(self, elements: Sequence[bytes]) -> bytes | None:
        """The raw elements of `elements`, one after the other; None where that gains nothing.

        A quarter faster than one by one. Damage shows as ZstdError, or as a result cut short.
        """
        frames = [element[1:] for element in elements if element[0] == ITEMS_1]
        frames.append(_EMPTY_FRAME)
        joined = b"".join(frames)
        if len(joined) > _MAX_JOINED_FRAMES:
            return None
        with self.decompressor.stream_reader(joined, read_across_frames=True) as reader:
            raw = reader.read(_MAX_JOINED_RAW)
        return raw if len(raw) < _MAX_JOINED_RAW else None

    @property
    def decompressor(self) -> zstandard.ZstdDecompressor:
        """This thread's own."""
        return self._contexts.decompressor


@cache
def _contexts() -> _Contexts:
    """The contexts of this process: they keep nothing from one call to the next."""
    return _Contexts()


def weight(element: bytes) -> int:
    """What an element counts in its session's size: its own, or more if it decodes to a lot.

    So a session within its bound decodes to at most MAX_EXPANSION times that. `weight` in
    stores/redis/lua/shared/history.lua is the same.
    """
    if element[:1] not in _FRAMES:
        return len(element)
    try:
        return max(len(element), zstandard.frame_content_size(element[1:_HEADER]) // MAX_EXPANSION)
    except ZstdError:
        return len(element)  # damaged


def _decompressor(
    dictionary: zstandard.ZstdCompressionDict | None,
) -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(dict_data=dictionary, max_window_size=MAX_RAW)


def _compressor(dictionary: zstandard.ZstdCompressionDict | None) -> zstandard.ZstdCompressor:
    return zstandard.ZstdCompressor(
        level=_LEVEL,
        dict_data=dictionary,
        write_content_size=True,
        write_checksum=True,
        write_dict_id=False,
    )


@cache
def _dictionary() -> zstandard.ZstdCompressionDict:
    path = Path(__file__).with_name("items-1.zdict")
    dictionary = zstandard.ZstdCompressionDict(path.read_bytes())
    dictionary.precompute_compress(level=_LEVEL)
    return dictionary
