"""The nemesis: injects faults on a seeded schedule, and records each."""

from chaos.nemesis.kind import FaultContext, FaultKind
from chaos.nemesis.schedule import Nemesis, fault_groups_for

__all__ = ["FaultContext", "FaultKind", "Nemesis", "fault_groups_for"]
