"""What can be wrong with an item, or with the bytes of one. Upper layers add the session."""

from __future__ import annotations


class EncodeError(ValueError):
    """The item is not a JSON object. The message names the place, never the content."""


class EncodedTooLarge(EncodeError):
    """The JSON of the item takes `size` bytes, more than the `limit` up to which it is readable."""

    def __init__(self, size: int, limit: int) -> None:
        super().__init__(
            f"item takes {size} bytes as JSON, over {limit}, the most that is readable"
        )
        self.size = size
        self.limit = limit


class DecodeError(ValueError):
    """The bytes are not an item. The message names the fault, never the content.

    `index` is the position in the sequence that was to be decoded, or None for a single element.
    """

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message if index is None else f"element {index}: {message}")
        self.index = index
