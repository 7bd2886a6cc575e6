"""The options that applications pass, and what the turns and the store make of them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any, TypedDict

from turnwise.errors import UsageError
from turnwise.hooks import Hook
from turnwise.limits import Limits
from turnwise.turns import Settings, check_number, default_worker_name, ttl_ms

_ARGUMENTS = ("session_id", "key_prefix", "ttl", "limit", "session_settings")
"""What `connect` and the classes take besides the options."""
_TURN_OPTIONS = (
    "lease",
    "compression",
    "max_item_bytes",
    "max_turn_bytes",
    "max_event_bytes",
    "cache_bytes",
    "hooks",
    "repeatable_tools",
    "approval_timeout",
)


class Options(TypedDict, total=False):
    """The options that every kind of session takes.

    Attributes:
        lease: Seconds until a worker that no longer answers loses its turn (15).
        max_item_bytes: The largest item, as JSON (16 MiB).
        max_turn_bytes: All items of one turn, as JSON (64 MiB).
        max_session_bytes: One session's history as stored (256 MiB).
        max_queue: How many messages and callers may wait for one session (1000).
        events_ttl: Seconds for which a message's events are kept after the last one (an hour).
        max_events: How many events of one message are kept, the last ones (10,000).
        max_event_bytes: All events of one attempt at a message, as stored (64 MiB). Further ones
            of its run are not published; the run and its result do not depend on them.
        retention: Seconds for which a finished turn_id is remembered (24 hours).
        compression: Whether new items are compressed (True). Both kinds can be read either way.
        cache_bytes: Decoded history cached in this process (64 MiB); 0 for no cache.
        hooks: A callable, or several, that receive what happens to turns: see `turnwise.hooks`
            (none).
        repeatable_tools: Names of tools that may run again if a worker died in them (none). See
            `repeatable`, which marks one tool.
        approval_timeout: Seconds until pending approvals of a parked turn are rejected (None:
            never).
        worker: This process's name, for operators (host, process id and a random part).
    """

    lease: float
    max_item_bytes: int
    max_turn_bytes: int
    max_session_bytes: int
    max_queue: int
    events_ttl: float
    max_events: int
    max_event_bytes: int
    retention: float
    compression: bool
    cache_bytes: int
    hooks: Hook | Iterable[Hook] | None
    repeatable_tools: Collection[str] | None
    approval_timeout: float | None
    worker: str


def turn_settings(options: Options) -> Settings:
    """The options that concern turns. Raises UsageError for an option that does not exist."""
    unknown = set(options) - set(Options.__annotations__)
    if unknown:
        raise UsageError(
            f"unknown options: {', '.join(sorted(unknown))}. Use some of: "
            f"{', '.join((*_ARGUMENTS, *Options.__annotations__))}"
        )
    given: dict[str, Any] = {name: options[name] for name in _TURN_OPTIONS if name in options}  # type: ignore[literal-required]  # names are those of Options
    if "hooks" in given:
        given["hooks"] = _hooks(given["hooks"])
    if "repeatable_tools" in given:
        given["repeatable_tools"] = _names(given["repeatable_tools"])
    return Settings(**given)


def _hooks(hooks: object) -> tuple[Any, ...]:
    """One hook, several, or none."""
    if hooks is None:
        return ()
    if isinstance(hooks, Iterable) and not callable(hooks):
        return tuple(hooks)
    return (hooks,)


def _names(names: object) -> frozenset[str]:
    """One name, several, or none. Raises UsageError."""
    several = [] if names is None else [names] if isinstance(names, str) else names
    if not isinstance(several, Iterable) or not all(isinstance(name, str) for name in several):
        raise UsageError(f"repeatable_tools={names!r}: use names of tools")
    return frozenset(several)


def store_limits(options: Options, ttl: float | None) -> Limits:
    """The options that concern the store. Raises InvalidTTL, and UsageError for an invalid one."""
    known = Limits()
    retention = options.get("retention", known.retention_ms / 1000)
    max_bytes = options.get("max_session_bytes", known.max_bytes)
    max_queue = options.get("max_queue", known.max_queue)
    events_ttl = options.get("events_ttl", known.events_ttl_ms / 1000)
    max_events = options.get("max_events", known.max_events)
    lease = options.get("lease", Settings().lease)
    check_number("events_ttl", events_ttl, least=1)
    check_number("max_events", max_events, least=1)
    check_number("lease", lease, least=0.001)
    check_number("retention", retention)
    check_number("max_session_bytes", max_bytes, least=1)
    check_number("max_queue", max_queue)
    return Limits(
        ttl_ms=ttl_ms(ttl),
        retention_ms=round(retention * 1000),
        max_bytes=max_bytes,
        max_queue=max_queue,
        events_ttl_ms=round(events_ttl * 1000),
        max_events=max_events,
        # As long as a lease: a dead worker loses its turns and its claims at the same time.
        visibility_timeout_ms=round(lease * 1000),
    )


def worker_name(options: Options) -> str:
    """This process's name."""
    name = options.get("worker")
    if name is not None and not isinstance(name, str):
        raise UsageError(f"worker={name!r}: use a text, or None for host, process id and a mark")
    return name or default_worker_name()
