"""All checks, one after the other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chaos.checker import (
    approvals,
    cancels,
    health,
    leases,
    messages,
    plain,
    policies,
    reads,
    tools,
    turns,
)
from chaos.checker.findings import Findings, Violation
from chaos.history import History


@dataclass(frozen=True)
class Verdict:
    """What the checks found; `excused` counts, by reason, what a recorded fault explains."""

    violations: list[Violation]
    excused: Counter[str]


def check(history: History, *, least_ok: float = 0.6) -> Verdict:
    """`least_ok`: the share of operations that must have been answered well."""
    findings = Findings(history)
    turns.check(findings)
    reads.check(findings)
    plain.check(findings)
    tools.check(findings)
    leases.check(findings)
    cancels.check(findings)
    messages.check(findings)
    approvals.check(findings)
    policies.check(findings)
    health.check(findings, least_ok)
    return Verdict(findings.violations, findings.excused)
