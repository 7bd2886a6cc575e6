"""Owners: whose session it is not, for them it does not exist."""

from __future__ import annotations

from chaos.checker.findings import Findings


def check(findings: Findings) -> None:
    for invocation in findings.history.invocations:
        status = invocation.value.get("status")
        if invocation.kind == "http-peek" and invocation.outcome == "ok" and status != 404:
            text = f"somebody else asked for {invocation.params['turn_id']}, and got {status}"
            findings.violate("owner", invocation.session, text, invocation.op)
