"""How much and how long: what limits the work of every store."""

from __future__ import annotations

from dataclasses import dataclass

READ = 256
"""The most elements that one answer of `begin`, `next` or a duplicate carries."""
RECENT = 64
"""How many elements a *fresh* begin looks through for an earlier effect of the same call."""
CLAIM_MS = 250
"""How long the session stays free for the caller whose turn it is, before it is passed over."""
LATE_MS = 10_000
"""How old the announcement of a message may be when the message arrives."""
SETTLE_MS = 30_000
"""How old the announcement of a message is when the message will surely come no more."""
SWEEP_MS = 600_000
"""How often the messages of a fleet are looked for without having been announced."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store is told once. Times are milliseconds.

    `ttl` is how long a session lives after its last change (None: for ever), `retention` how long
    a turn_id is known after its commit, `claim` how long a worker has a wake-up that it does not
    hold (about a lease: a dead worker's messages wait for it), `events_ttl` how long a turn's
    events are kept, at most `max_events`. `max_bytes` limits one session's stored history,
    `max_queue` its waiting messages and callers.
    """

    ttl: int | None = None
    retention: int = 24 * 60 * 60 * 1000
    max_bytes: int = 256 * 1024 * 1024
    max_queue: int = 1000
    claim: int = 15_000
    events_ttl: int = 60 * 60 * 1000
    max_events: int = 10_000
