"""Approvals: what needs one runs only when it is given, and a run that waits is not lost."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings

_TOOL = script.TOOLS["a"]


def check(findings: Findings) -> None:
    _given(findings)
    _kept(findings)


def _given(findings: Findings) -> None:
    """Nothing that needs an approval runs before it is given, or where it was refused."""
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


def _kept(findings: Findings) -> None:
    """A run that was said to wait becomes a turn, unless somebody gives it up."""
    for final in findings.history.finals:
        there = {entry.turn_id for entry in final.entries if entry.kind == "turn"}
        for op in findings.by_session.get(final.session, []):
            asked = findings.by_op[op][0]
            waited = any("parked" in call.value for call in findings.by_op[op])
            if asked.kind != "ask" or not waited or asked.turn_id in there:
                continue
            life = findings.life(op)
            if findings.was_ended(op, start=life[0], end=life[1]):
                continue
            if findings.may_be_lost(*life):
                findings.excuse("turns that waited and were lost to a failover")
            else:
                findings.violate("approval", final.session, f"{op} waited, and is lost", op)
