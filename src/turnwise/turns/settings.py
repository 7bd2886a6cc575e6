"""How a process runs turns."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from inspect import iscoroutinefunction

from turnwise.errors import InvalidTTL, UsageError
from turnwise.hooks import Hook

MEBIBYTE = 1024 * 1024
_DAY = 24 * 60 * 60.0


@dataclass(frozen=True, slots=True)
class Settings:
    """How a process runs turns.

    Attributes:
        lease: Seconds for which a session stays with a worker that does not answer any more. A
            lease is renewed every third of it.
        compression: Whether elements are stored compressed.
        max_item_bytes: The most that one item may take, uncompressed.
        max_turn_bytes: The most that the items of one turn may take, uncompressed.
        max_event_bytes: The most that the events of one attempt may take, as stored.
        cache_bytes: The most that the decoded histories in this process's memory may take.
        hooks: Called with every event.
        repeatable_tools: Names of tools that may run again if it is unknown whether they ran.
        approval_timeout: Seconds for which a parked turn waits for its approvals; None for ever.
    """

    lease: float = 15.0
    compression: bool = True
    max_item_bytes: int = 16 * MEBIBYTE
    max_turn_bytes: int = 64 * MEBIBYTE
    max_event_bytes: int = 64 * MEBIBYTE
    cache_bytes: int = 64 * MEBIBYTE
    hooks: tuple[Hook, ...] = ()
    repeatable_tools: Collection[str] = ()
    approval_timeout: float | None = None

    def __post_init__(self) -> None:
        check_number("lease", self.lease, least=0.001, most=_DAY)
        check_number("max_item_bytes", self.max_item_bytes, least=1)
        check_number("max_turn_bytes", self.max_turn_bytes, least=1)
        check_number("max_event_bytes", self.max_event_bytes)
        check_number("cache_bytes", self.cache_bytes)
        if not isinstance(self.compression, bool):
            raise UsageError(f"compression={self.compression!r}: use True or False")
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
        raise UsageError(f"{name}={value!r}: use a number from {least:g} to {most:g}")


def check_count(name: str, value: object, *, most: float = 1e15) -> None:
    """Raise UsageError unless `value` is a whole number from 1 to `most`."""
    if isinstance(value, bool) or not (isinstance(value, int) and 1 <= value <= most):
        raise UsageError(f"{name}={value!r}: use a whole number from 1 to {most:g}")


def ttl_ms(seconds: object) -> int | None:
    """A time to live in milliseconds; None for no expiry. Raises InvalidTTL."""
    if seconds is None:
        return None
    if (
        isinstance(seconds, bool)
        or not isinstance(seconds, int | float)
        or not 0.001 <= seconds < 1e11
    ):
        raise InvalidTTL(
            f"a time to live of {seconds!r}: use a number of seconds above 0, or None for no expiry"
        )
    return round(seconds * 1000)
