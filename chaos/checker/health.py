"""The round as a whole: no leftovers or unexpected errors, workers recover, most operations ok."""

from __future__ import annotations

from math import inf

from chaos.checker.findings import Findings

RECOVERY_SECONDS = 12.0
"""After the last fault: a call that began in it was sent again for half as long, at the most."""


def check(findings: Findings, min_ok: float) -> None:
    for leftover in findings.history.leftovers:
        text = f"{leftover.what} ({leftover.where})"
        findings.violate("leftover", leftover.session, text)
    for invocation in findings.history.invocations:
        if invocation.error.startswith("!"):
            text = f"{invocation.kind} {invocation.op} raised {invocation.error[2:]}"
            findings.violate("unexpected error", invocation.session, text, invocation.op)
    _check_recovery(findings)
    ops = len(findings.by_op)
    share = ok_share(findings)
    if ops and share < min_ok:
        findings.violate("availability", "", f"{share:.0%} of {ops} operations were ok")


def _check_recovery(findings: Findings) -> None:
    """Once the last fault is healed, every worker finds its way to the servers."""
    healed = max((fault.end or fault.start for fault in findings.history.faults), default=inf)
    for invocation in findings.history.invocations:
        late = invocation.invoked > healed + RECOVERY_SECONDS
        if late and invocation.error == "StoreUnavailable":
            seconds = invocation.invoked - healed
            text = (
                f"{invocation.worker} did not reach a server {seconds:.0f} s after the last fault"
            )
            findings.violate("recovery", invocation.session, text, invocation.op)


def ok_share(findings: Findings) -> float:
    """The share of operations with at least one invocation *ok*."""
    ok = sum(any(one.outcome == "ok" for one in some) for some in findings.by_op.values())
    return ok / max(1, len(findings.by_op))
