"""The checker: does a recorded history keep every promise? Pure functions."""

from chaos.checker.check import Verdict, check
from chaos.checker.findings import Violation

__all__ = ["Verdict", "Violation", "check"]
