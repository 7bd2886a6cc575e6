"""Items to bytes and back, for stores that see bytes only."""

from turnwise.codec.envelope import Codec
from turnwise.codec.errors import DecodeError, EncodeError

__all__ = ["Codec", "DecodeError", "EncodeError"]
