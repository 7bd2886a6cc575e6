"""Runs all checks on a history."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from chaos.checker import (
    approvals,
    cancels,
    health,
    leases,
    messages,
    owners,
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
    """The violations; `excused` counts, by reason, what a recorded fault explains."""

    violations: list[Violation]
    excused: Counter[str]


def check(history: History, *, min_ok: float = 0.6) -> Verdict:
    """`min_ok`: the least share of operations with outcome *ok*."""
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
    owners.check(findings)
    health.check(findings, min_ok)
    return Verdict(findings.violations, findings.excused)
