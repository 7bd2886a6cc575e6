"""The numbers that all stores share: sizes, time spans, and the limits a store is given."""

from __future__ import annotations

from dataclasses import dataclass

READ_LIMIT = 256
"""The most elements in one answer of a verb. Longer histories are read in pages."""
RECENT_ELEMENTS = 64
"""How many of the last elements a `one_shot` begin searches for an earlier effect of itself."""
PUSH_LIMIT = 4000
"""The most elements that a script appends in one command: Lua unpacks somewhat more than 7,000."""
FINISHED_TOKENS = 8
"""How many finished tokens a session remembers."""
HEAD_TIMEOUT_MS = 250
"""How long a free session is reserved for the head of its queue before the next one gets it."""
LATE_MS = 10_000
"""How old the announcement of a message may be when the message is submitted."""
ACK_IDLE_AFTER_MS = 30_000
"""How old an announcement must be before a worker acks it because it found no message.

By then the message is either in the queue or refused as late.
"""
SWEEP_INTERVAL_MS = 600_000
"""How often all sessions are searched for messages whose announcement was lost."""
WORKER_KEPT_MS = 24 * 60 * 60 * 1000
"""How long the record of a worker that writes no more stays in the registry."""
AUDIT_KEPT = 10_000
"""How many records of operators' actions are kept, the last ones."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a store enforces. It is given once, to the store's constructor.

    Attributes:
        ttl_ms: how long a session lives after its last change; None for ever.
        retention_ms: how long a turn_id is known after its turn ended.
        max_bytes: the size of one session's stored history.
        max_queue: how many messages and callers may wait in one session's queue.
        visibility_timeout_ms: how long a worker's claim hides a ready-stream entry from the others,
            unless it is extended. A dead worker's messages are hidden for that long.
        events_ttl_ms: how long the events of a turn are kept after the last one.
        max_events: how many events of one turn are kept.
    """

    ttl_ms: int | None = None
    retention_ms: int = 24 * 60 * 60 * 1000
    max_bytes: int = 256 * 1024 * 1024
    max_queue: int = 1000
    visibility_timeout_ms: int = 15_000
    events_ttl_ms: int = 60 * 60 * 1000
    max_events: int = 10_000
