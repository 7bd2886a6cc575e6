"""Durable runs: what a run finished before its worker died is not done again."""

from turnwise.durable.agent_runner import install
from turnwise.durable.keys import idempotency_key, repeatable
from turnwise.durable.responses import to_json
from turnwise.durable.turn import DurableTurn, HoldsTurn

__all__ = [
    "DurableTurn",
    "HoldsTurn",
    "idempotency_key",
    "install",
    "repeatable",
    "to_json",
]
