"""What the application may set, in its own units, and what the layers below are told of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypedDict

from turnwise.errors import UsageError
from turnwise.hooks import Hook
from turnwise.limits import Limits
from turnwise.session import ttl_ms
from turnwise.turns import Settings, check_number, default_worker_name

_FOR_WORKERS = (
    "lease",
    "compression",
    "max_item_bytes",
    "max_turn_bytes",
    "cache_bytes",
    "hooks",
    "repeatable_tools",
    "approval_timeout",
)


class Options(TypedDict, total=False):
    """The settings that every kind of session takes. Times are seconds, sizes bytes.

    - `lease` (15): how long a session stays with a worker that no longer answers.
    - `max_item_bytes` (16 MiB), `max_turn_bytes` (64 MiB): of the items' JSON.
    - `max_session_bytes` (256 MiB): of one session's history as stored.
    - `max_queue` (1000): how many messages and callers may wait for one session.
    - `retention` (24 h): how long a committed turn_id is known.
    - `compression` (True): of what is written; everything is read either way.
    - `cache_bytes` (64 MiB): decoded history kept in this process; 0 for none.
    - `hooks`: told what happens to turns.
    - `repeatable_tools`: names of tools that may run again when a worker died in them; see
      `repeatable`, which marks one tool.
    - `approval_timeout` (None: for ever): how long a turn waits for its approvals.
    - `worker`: this process's name for operators; by default host, process and a random part.
    """

    lease: float
    max_item_bytes: int
    max_turn_bytes: int
    max_session_bytes: int
    max_queue: int
    retention: float
    compression: bool
    cache_bytes: int
    hooks: tuple[Hook, ...]
    repeatable_tools: Collection[str]
    approval_timeout: float | None
    worker: str


def settings(options: Options) -> Settings:
    """What a worker is told. Raises UsageError for an option that does not exist."""
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise UsageError(
            f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(Options.__annotations__)}"
        )
    return Settings(**{name: options[name] for name in _FOR_WORKERS if name in options})  # type: ignore[literal-required]  # names are those of Options


def limits(options: Options, ttl: float | None) -> Limits:
    """What a store is told. Raises InvalidTTL, and UsageError for a bound that is none."""
    known = Limits()
    retention = options.get("retention", known.retention_ms / 1000)
    max_bytes = options.get("max_session_bytes", known.max_bytes)
    max_queue = options.get("max_queue", known.max_queue)
    lease = options.get("lease", Settings().lease)
    check_number("lease", lease, least=0.001)
    check_number("retention", retention)
    check_number("max_session_bytes", max_bytes, least=1)
    check_number("max_queue", max_queue)
    return Limits(
        ttl_ms=ttl_ms(ttl),
        retention_ms=round(retention * 1000),
        max_bytes=max_bytes,
        max_queue=max_queue,
        # As long as a lease: a dead worker loses its turns and its claims at the same time.
        visibility_timeout_ms=round(lease * 1000),
    )


def name(options: Options) -> str:
    return options.get("worker") or default_worker_name()
