"""Events as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec


def as_json(content: Mapping[str, Any]) -> str:
    """The JSON text, whatever it holds: halves of surrogate pairs, integers of any size."""
    try:
        return msgspec.json.encode(content).decode()
    except (UnicodeEncodeError, OverflowError):
        return json.dumps(content, separators=(",", ":"))
