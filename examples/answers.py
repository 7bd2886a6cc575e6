"""Reads a committed turn's answer from the items that the turn added."""

from collections.abc import Mapping, Sequence
from typing import Any

from examples.offline import text_of


def answer_of(items: Sequence[Mapping[str, Any]]) -> str:
    """The last assistant message among the items of a turn; "" if there is none."""
    messages = [text_of(dict(item)) for item in items if item.get("role") == "assistant"]
    return messages[-1] if messages else ""
