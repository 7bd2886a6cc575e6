"""A turn's life, and reading between turns; everything below the Agents SDK's own types."""

from turnwise.turns.settings import Settings
from turnwise.turns.turn import Turn
from turnwise.turns.worker import Busyness, Worker

__all__ = ["Busyness", "Settings", "Turn", "Worker"]
