"""Was every promise kept? Pure functions over a recorded history."""

from chaos.checker.check import Verdict, check
from chaos.checker.findings import Violation

__all__ = ["Verdict", "Violation", "check"]
