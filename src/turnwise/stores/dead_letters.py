"""The state of a dead letter, which its session knows; and its id, which comes from outside."""

from __future__ import annotations

from typing import Literal

from turnwise.errors import UsageError
from turnwise.types import Absent, Duplicate

State = Literal["dead", "queued", "finished", "unknown"]


def state_of(dead_letter_id: str, status: object) -> State | None:
    """From the status of its turn. None: a later letter of the same turn replaced it."""
    if isinstance(status, Absent):
        return "unknown"
    if not isinstance(status, Duplicate) or status.record is None:
        return "queued"
    if status.record.kind != "dead":
        return "finished"
    return "dead" if status.record.payload == dead_letter_id.encode() else None


def no_letter_id(after: object) -> UsageError:
    """For an `after` that no dead letter of the store can have as its id."""
    return UsageError(
        f"after={ascii(after)[:80]} is no id of a dead letter of this store: use one that a "
        "listing shows, or leave it out for the oldest"
    )
