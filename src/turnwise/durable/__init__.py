"""Durable runs: what a run finished before its worker died is not done again."""

from turnwise.durable.agent_runner import install
from turnwise.durable.keys import idempotency_key, repeatable
from turnwise.durable.responses import dumped
from turnwise.durable.sdk import failure_of
from turnwise.durable.turn import DurableTurn, HoldsTurn

__all__ = [
    "DurableTurn",
    "HoldsTurn",
    "dumped",
    "failure_of",
    "idempotency_key",
    "install",
    "repeatable",
]
