"""Durable runs: what a run finished before its worker died is not done again."""

from turnwise.durable.keys import idempotency_key, repeatable
from turnwise.durable.runner import install
from turnwise.durable.turn import DurableTurn, HoldsTurn

__all__ = ["DurableTurn", "HoldsTurn", "idempotency_key", "install", "repeatable"]
