"""Cancelled turns: what the caller was told became of a turn is what became of it."""

from __future__ import annotations

from chaos.checker.findings import Findings, entry_op
from chaos.history import Call

_GONE = {"cancelled", "forced", "dropped"}


def check(findings: Findings) -> None:
    calls = [call for call in findings.history.calls if call.kind == "cancel"]
    standing = {
        (final.session, entry.turn_id): entry_op(entry)
        for final in findings.history.finals
        for entry in final.entries
        if entry.items
    }
    for call in calls:
        if call.outcome != "ok":
            continue
        text = _problem(call, (call.session, call.params["turn_id"]) in standing)
        if text and _may_be_lost(findings, call):
            findings.excuse("cancellations undone by a failover")
        elif text:
            findings.violate("cancel", call.session, text, call.op, call.params["op"])


def _problem(call: Call, stands: bool) -> str:
    outcome, turn = call.value["outcome"], call.params["turn_id"]
    if stands and outcome in _GONE:
        return f"{turn} was {outcome}, and stands in the history"
    if not stands and outcome == "committed":
        return f"{turn} is said to be committed, and does not stand in the history"
    return ""


def _may_be_lost(findings: Findings, call: Call) -> bool:
    ended = call.ended or call.invoked
    return findings.may_be_lost(ended, ended)
