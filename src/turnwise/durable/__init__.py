"""Durable runs: what a run finished before its worker died is not done again."""

from turnwise.durable.answer import packed_answer
from turnwise.durable.keys import idempotency_key, repeatable
from turnwise.durable.retelling import Retelling
from turnwise.durable.runner import install
from turnwise.durable.turn import DurableTurn, HoldsTurn

__all__ = [
    "DurableTurn",
    "HoldsTurn",
    "Retelling",
    "idempotency_key",
    "install",
    "packed_answer",
    "repeatable",
]
