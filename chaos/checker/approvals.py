"""Approvals: nothing that needs one runs before it is given, or where it was refused."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings

_TOOL = script.TOOLS["a"]


def check(findings: Findings) -> None:
    calls = findings.history.calls
    for line in findings.history.ledger:
        if line.tool != _TOOL:
            continue
        call = calls[line.call] if line.call >= 0 else None
        if call is None or call.kind != "resume":
            text = f"{line.call_id} ran without an approval"
        elif call.params.get("reject"):
            text = f"{line.call_id} ran, though it was refused"
        else:
            continue
        findings.violate("approval", call.session if call else "", text, line.op)
