"""What a turn leaves in its journal when it is to wait for approvals."""

from __future__ import annotations

from dataclasses import dataclass

from turnwise.journal_entries import ParkedEntry


@dataclass(frozen=True, slots=True)
class Parking:
    """How a turn waits: `entry` is the journal's last, `pending` is for how many approvals."""

    entry: ParkedEntry
    pending: int
