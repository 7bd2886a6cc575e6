"""What a worker is told once."""

from __future__ import annotations

from dataclasses import dataclass

from turnwise.errors import UsageError
from turnwise.hooks import Hook

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker runs turns. Times are seconds, sizes bytes as stored.

    `lease` is how long a session stays with a worker that no longer answers; it is renewed every
    third of it. `cache_bytes` bounds the decoded history kept in this process.
    """

    lease: float = 15.0
    compression: bool = True
    max_item_bytes: int = 16 * MEBIBYTE
    max_turn_bytes: int = 64 * MEBIBYTE
    cache_bytes: int = 64 * MEBIBYTE
    hooks: tuple[Hook, ...] = ()

    def __post_init__(self) -> None:
        if not self.lease > 0:
            raise UsageError(f"lease={self.lease!r}: a lease is a number of seconds above 0")
