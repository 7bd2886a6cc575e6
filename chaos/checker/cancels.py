"""Cancelled turns: what the caller was told became of a turn is what became of it."""

from __future__ import annotations

from chaos.checker.findings import Findings
from chaos.history import Call

_GONE = {"cancelled", "forced", "dropped"}
_FEW = 3


def check(findings: Findings) -> None:
    calls = [call for call in findings.history.calls if call.kind == "cancel"]
    standing = {
        (final.session, entry.turn_id)
        for final in findings.history.finals
        for entry in final.entries
        if entry.kind == "turn"
    }
    kept = {
        (final.session, entry.turn_id)
        for final in findings.history.finals
        for entry in final.entries
        if entry.kind == "cancelled" and entry.items
    }
    for call in calls:
        if call.outcome != "ok":
            continue
        name = call.session, call.params["turn_id"]
        text = _problem(call, name in standing, name in kept)
        if text and _may_be_lost(findings, call):
            findings.excuse("cancellations undone by a failover")
        elif text:
            findings.violate("cancel", call.session, text, call.op, call.params["op"])
    _soon(findings, calls)


def _problem(call: Call, stands: bool, kept: bool) -> str:
    outcome, turn = call.value["outcome"], call.params["turn_id"]
    if kept and outcome in _GONE and not call.value["items"]:
        return f"{turn} was {outcome}, and something of it stands in the history"
    if stands and outcome in _GONE:
        return f"{turn} was {outcome}, and stands in the history"
    if not stands and outcome == "committed":
        return f"{turn} is said to be committed, and does not stand in the history"
    return ""


def _soon(findings: Findings, calls: list[Call]) -> None:
    """Workers end their turns themselves when they are asked to; force is for what stands still.

    One that was not in time may be the machine's doing. Many are not.
    """
    asked = [
        call
        for call in calls
        if call.outcome == "ok"
        and call.value["outcome"] in ("cancelled", "forced")
        and not findings.was_disturbed(call.invoked, call.ended or call.invoked)
    ]
    forced = [call for call in asked if call.value["outcome"] == "forced"]
    if len(forced) > _FEW and len(forced) > len(asked) / 4:
        text = f"{len(forced)} of {len(asked)} turns did not end when they were asked to, without "
        text += "any fault about"
        findings.violate("cancel", "", text, forced[0].op, forced[0].params["op"])


def _may_be_lost(findings: Findings, call: Call) -> bool:
    return findings.may_be_lost(call.invoked, call.ended or call.invoked)
