"""Items to bytes and back, for stores that see bytes only."""

from turnwise.codec.codec import Codec
from turnwise.codec.errors import DecodeError, EncodedTooLarge, EncodeError
from turnwise.codec.zstd import MAX_EXPANSION, MAX_RAW, Zstd, weight

__all__ = [
    "MAX_EXPANSION",
    "MAX_RAW",
    "Codec",
    "DecodeError",
    "EncodeError",
    "EncodedTooLarge",
    "Zstd",
    "weight",
]
