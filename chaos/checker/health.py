"""The run as a whole: nothing left behind, no error that nobody foresaw, most things went well."""

from __future__ import annotations

from chaos.checker.findings import Findings


def check(findings: Findings, least_ok: float) -> None:
    for leftover in findings.history.leftovers:
        text = f"{leftover.what} ({leftover.where})"
        findings.violate("left behind", leftover.session, text)
    for call in findings.history.calls:
        if call.error.startswith("!"):
            text = f"{call.kind} {call.op} ended with {call.error[2:]}"
            findings.violate("unforeseen error", call.session, text, call.op)
    ops = len(findings.by_op)
    share = ok_share(findings)
    if ops and share < least_ok:
        findings.violate("failing", "", f"{share:.0%} of {ops} operations were answered well")


def ok_share(findings: Findings) -> float:
    """The share of operations that somebody was told went well."""
    well = sum(any(call.outcome == "ok" for call in calls) for calls in findings.by_op.values())
    return well / max(1, len(findings.by_op))
