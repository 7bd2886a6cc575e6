"""Checks of a deployment: each fault with why it matters and what mends it."""

from turnwise.doctor.diagnose import FAULTS, diagnose
from turnwise.doctor.findings import Fault, Finding, Report, Severity

__all__ = ["FAULTS", "Fault", "Finding", "Report", "Severity", "diagnose"]
