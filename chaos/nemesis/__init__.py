"""The nemesis: faults by a seeded schedule, each recorded."""

from chaos.nemesis.fault import Field, Strike
from chaos.nemesis.schedule import Nemesis, strikes_for

__all__ = ["Field", "Nemesis", "Strike", "strikes_for"]
