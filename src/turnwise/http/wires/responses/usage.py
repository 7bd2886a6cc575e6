"""Token usage as the client gets it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(slots=True)
class Usage:
    """What the models consumed."""

    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    def add(self, said: Mapping[str, Any]) -> None:
        """Add what a model's response says."""
        self.input_tokens += said.get("input_tokens") or 0
        self.output_tokens += said.get("output_tokens") or 0
        self.cached_tokens += (said.get("input_tokens_details") or {}).get("cached_tokens") or 0
        details = said.get("output_tokens_details") or {}
        self.reasoning_tokens += details.get("reasoning_tokens") or 0

    def as_dict(self) -> dict[str, Any]:
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": self.output_tokens,
            "output_tokens_details": {"reasoning_tokens": self.reasoning_tokens},
            "total_tokens": self.input_tokens + self.output_tokens,
        }
