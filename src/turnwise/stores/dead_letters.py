"""What a dead letter's session says of it."""

from __future__ import annotations

from typing import Literal

from turnwise.types import Absent, Duplicate

State = Literal["dead", "waiting", "finished", "unknown"]


def state(dead_letter_id: str, status: object) -> State | None:
    """By the status of its turn. None: the turn died again, by a later letter."""
    if isinstance(status, Absent):
        return "unknown"
    if not isinstance(status, Duplicate) or status.record is None:
        return "waiting"
    if status.record.kind != "dead":
        return "finished"
    return "dead" if status.record.payload == dead_letter_id.encode() else None
