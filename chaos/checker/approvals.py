"""Approvals: a tool that needs one runs only when it is given, and a parked run is not lost."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings

_TOOL = script.TOOLS["a"]


def check(findings: Findings) -> None:
    _only_approved_tools_run(findings)
    _parked_runs_are_kept(findings)


def _only_approved_tools_run(findings: Findings) -> None:
    """No tool that needs an approval runs before it is approved, or after it is rejected."""
    invocations = findings.history.invocations
    for line in findings.history.executions:
        if line.tool != _TOOL:
            continue
        invocation = invocations[line.invocation] if line.invocation >= 0 else None
        if invocation is None or invocation.kind != "resume":
            text = f"{line.call_id} ran without an approval"
        elif invocation.params.get("reject"):
            text = f"{line.call_id} ran, though it was rejected"
        else:
            continue
        findings.violate("approval", invocation.session if invocation else "", text, line.op)


def _parked_runs_are_kept(findings: Findings) -> None:
    """A parked run becomes a turn, unless somebody cancels it."""
    for state in findings.history.final_states:
        stored = {turn.turn_id for turn in state.turns if turn.kind == "turn"}
        for op in findings.ops_on(state.session):
            first = findings.by_op[op][0]
            parked = any("parked" in one.value for one in findings.by_op[op])
            if first.kind != "approval-run" or not parked or first.turn_id in stored:
                continue
            start, end = findings.interval(op)
            if findings.may_be_cancelled(op, start=start, end=end):
                continue
            text = f"{op} was parked, and is lost"
            reason = "parked turns lost to a failover"
            findings.violate_or_excuse("approval", state.session, text, op, reason)
