"""Cancelled turns: each is stored or not as the answer to its cancel said."""

from __future__ import annotations

from chaos.checker.findings import Findings, is_cancel
from chaos.history import Invocation

_NOT_STORED = {"cancelled", "forced", "dropped"}
_MAX_FORCED = 3


def check(findings: Findings) -> None:
    cancels = [
        one for one in findings.history.invocations if is_cancel(one) and one.outcome == "ok"
    ]
    committed = {
        (state.session, turn.turn_id)
        for state in findings.history.final_states
        for turn in state.turns
        if turn.kind == "turn"
    }
    kept = {
        (state.session, turn.turn_id)
        for state in findings.history.final_states
        for turn in state.turns
        if turn.kind == "cancelled" and turn.items
    }
    for cancel in cancels:
        name = cancel.session, cancel.params["turn_id"]
        text = _problem(cancel, name in committed, name in kept)
        if text and findings.overlaps_lossy_fault(*_interval(cancel)):
            findings.excuse("cancellations undone by a failover")
        elif text:
            findings.violate("cancel", cancel.session, text, cancel.op, cancel.params["op"])
    _few_are_forced(findings, cancels)


def _problem(cancel: Invocation, is_committed: bool, is_kept: bool) -> str:
    outcome, turn = cancel.value["outcome"], cancel.params["turn_id"]
    if is_kept and outcome in _NOT_STORED and not cancel.value["items"]:
        return f"{turn} was {outcome} without items, but items of it are stored"
    if is_committed and outcome in _NOT_STORED:
        return f"{turn} was {outcome}, but is stored"
    if not is_committed and outcome == "committed":
        return f"{turn} was reported as committed, but is not stored"
    return ""


def _few_are_forced(findings: Findings, cancels: list[Invocation]) -> None:
    """Workers end their turns themselves when asked; only those of a paused worker are forced.

    A few may be slow because the machine is. Many are a bug.
    """
    ended = [
        one
        for one in cancels
        if one.value["outcome"] in ("cancelled", "forced")
        and not findings.overlaps_fault(*_interval(one))
    ]
    forced = [one for one in ended if one.value["outcome"] == "forced"]
    if len(forced) > _MAX_FORCED and len(forced) > len(ended) / 4:
        text = f"{len(forced)} of {len(ended)} cancelled turns had to be forced without any fault"
        findings.violate("cancel", "", text, forced[0].op, forced[0].params["op"])


def _interval(cancel: Invocation) -> tuple[float, float]:
    return cancel.invoked, cancel.completed or cancel.invoked
