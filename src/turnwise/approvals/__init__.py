"""Turns that are parked until tool calls are approved: what is pending, decisions, resuming."""

from turnwise.approvals.block_runs import BlockRuns
from turnwise.approvals.decide import decide
from turnwise.approvals.decisions import Decisions
from turnwise.approvals.parked import (
    REJECTED,
    DecidedState,
    ParkedTurn,
    find_parked,
    parked_entry,
    times_parked,
)
from turnwise.approvals.resume import (
    ResumedTurn,
    begin_parked,
    check_not_decided,
    resumed_turn,
)

__all__ = [
    "REJECTED",
    "BlockRuns",
    "DecidedState",
    "Decisions",
    "ParkedTurn",
    "ResumedTurn",
    "begin_parked",
    "check_not_decided",
    "decide",
    "find_parked",
    "parked_entry",
    "resumed_turn",
    "times_parked",
]
