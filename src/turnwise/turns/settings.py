"""What a worker is told once."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from inspect import iscoroutinefunction

from turnwise.errors import UsageError
from turnwise.hooks import Hook

MEBIBYTE = 1024 * 1024
_DAY = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a worker runs turns. Times are seconds, sizes bytes of JSON before compression.

    `lease` is how long a session stays with a worker that no longer answers; it is renewed every
    third of it. `cache_bytes` limits the decoded history kept in this process. A turn that waits
    for an approval does so for `approval_timeout`; None: for ever.
    """

    lease: float = 15.0
    compression: bool = True
    max_item_bytes: int = 16 * MEBIBYTE
    max_turn_bytes: int = 64 * MEBIBYTE
    cache_bytes: int = 64 * MEBIBYTE
    hooks: tuple[Hook, ...] = ()
    repeatable_tools: Collection[str] = ()
    approval_timeout: float | None = None

    def __post_init__(self) -> None:
        check_number("lease", self.lease, least=0.001, most=_DAY)
        check_number("max_item_bytes", self.max_item_bytes, least=1)
        check_number("max_turn_bytes", self.max_turn_bytes, least=1)
        check_number("cache_bytes", self.cache_bytes)
        if self.approval_timeout is not None:
            check_number("approval_timeout", self.approval_timeout)
        for hook in self.hooks:
            if not callable(hook):
                raise UsageError(f"hooks: {hook!r} cannot be called")
            if iscoroutinefunction(hook) or iscoroutinefunction(type(hook).__call__):
                raise UsageError(f"hooks: {hook!r} is async; a hook is called, and not awaited")


def check_number(name: str, value: object, *, least: float = 0, most: float = 1e15) -> None:
    """Raise UsageError unless `value` is a number from `least` to `most`."""
    right = isinstance(value, int | float) and not isinstance(value, bool)
    if not (right and least <= value <= most):  # type: ignore[operator]  # a number by now
        raise UsageError(f"{name}={value!r}: it is a number from {least:g} to {most:g}")
