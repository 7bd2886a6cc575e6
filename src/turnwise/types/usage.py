"""What models consumed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Requests to models, and their tokens.

    Attributes:
        requests: how many requests were answered.
        input_tokens: tokens that models were given, those from a provider's cache included.
        output_tokens: tokens that models made, those of reasoning included.
        cached_tokens: those input tokens that came from a provider's cache.
        reasoning_tokens: those output tokens that were reasoning.
    """

    requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def counts(self) -> tuple[int, ...]:
        """The numbers in this order, as stores keep them; empty if all are 0."""
        counts = (
            *(self.requests, self.input_tokens, self.output_tokens),
            *(self.cached_tokens, self.reasoning_tokens),
        )
        return counts if any(counts) else ()

    def __add__(self, other: TokenUsage) -> TokenUsage:
        if not other.counts:
            return self
        mine = self.counts or (0,) * len(other.counts)
        return TokenUsage(*map(sum, zip(mine, other.counts, strict=True)))


NO_USAGE = TokenUsage()
