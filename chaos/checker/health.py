"""The round as a whole: no leftovers, no unexpected errors, most operations ok."""

from __future__ import annotations

from chaos.checker.findings import Findings


def check(findings: Findings, min_ok: float) -> None:
    for leftover in findings.history.leftovers:
        text = f"{leftover.what} ({leftover.where})"
        findings.violate("leftover", leftover.session, text)
    for invocation in findings.history.invocations:
        if invocation.error.startswith("!"):
            text = f"{invocation.kind} {invocation.op} raised {invocation.error[2:]}"
            findings.violate("unexpected error", invocation.session, text, invocation.op)
    ops = len(findings.by_op)
    share = ok_share(findings)
    if ops and share < min_ok:
        findings.violate("availability", "", f"{share:.0%} of {ops} operations were ok")


def ok_share(findings: Findings) -> float:
    """The share of operations with at least one invocation *ok*."""
    ok = sum(any(one.outcome == "ok" for one in some) for some in findings.by_op.values())
    return ok / max(1, len(findings.by_op))
