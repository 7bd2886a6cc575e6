"""The state of a dead letter, which its session knows."""

from __future__ import annotations

from typing import Literal

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
