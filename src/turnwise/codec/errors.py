"""The codec's errors. The layers above add the session."""

from __future__ import annotations


class EncodeError(ValueError):
    """The item is not a JSON object. The message has the path to the fault, never the content."""


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

    `index` is the index in the sequence that was decoded; None for a single element.
    """

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message if index is None else f"element {index}: {message}")
        self.index = index
