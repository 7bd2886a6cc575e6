"""What a committed turn has answered, read from the items that it added."""

from collections.abc import Mapping, Sequence
from typing import Any

from examples.offline import text_of


def answer_of(items: Sequence[Mapping[str, Any]]) -> str:
    """The last message of the assistant among the items of a turn; "" if there is none."""
    said = [text_of(dict(item)) for item in items if item.get("role") == "assistant"]
    return said[-1] if said else ""
