"""Interrupted turns: what is kept of them is whole and paired; rolled back ones leave no trace."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chaos import script
from chaos.checker.findings import Findings, op_of_turn
from chaos.history import ATTEMPT, StoredTurn
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.turns.cancelled import INTERRUPTED

_CALL, _OUTPUT = "function_call", "function_call_output"


def check(findings: Findings) -> None:
    ran: dict[str, set[str]] = defaultdict(set)
    for line in findings.history.executions:
        if line.tool != ATTEMPT:
            ran[line.op].add(line.call_id)
    for state in findings.history.final_states:
        for turn in state.turns:
            op = op_of_turn(turn)
            if turn.kind != "cancelled" or op is None or op not in findings.by_op:
                continue
            optional = _optional_calls(findings, op, turn.items)
            problem = _problem(findings, op, turn, optional) or _missing_calls(
                findings, (state.session, turn.turn_id), turn, ran[op] - optional
            )
            if problem:
                reason = "interrupted turns that went through a failover"
                text = f"{op} {problem}"
                findings.violate_or_excuse("interrupted", state.session, text, op, reason)


def _optional_calls(findings: Findings, op: str, items: list[dict[str, Any]]) -> set[str]:
    """Calls of steps in which a tool raised: the SDK keeps only those that had ended."""
    failing, text = findings.failing_tools(op), script.text_of(items[0])
    if not script.is_question(text):
        return set()
    steps = [script.call_ids(op, *step) for step in enumerate(script.parse_question(text)[1])]
    return {name for step in steps for _, name in step if failing & {tool for tool, _ in step}}


def _problem(findings: Findings, op: str, turn: StoredTurn, optional: set[str]) -> str:
    """What is wrong with the kept part of an interrupted turn."""
    if findings.acknowledged(op) is not None:
        return "was acknowledged, but is stored as interrupted"
    if any(one.value.get("kept") is False for one in findings.by_op[op]):
        return "was reported as dropped, but a part of it is stored"
    start, end = findings.interval(op)
    if not findings.may_be_cancelled(op, start=start, end=end, busy="interrupt"):
        return "is stored in part, but no turn interrupted it"
    return _pairing_problem(op, turn.items, optional)


def _pairing_problem(op: str, items: list[dict[str, Any]], optional: set[str]) -> str:
    """Each step begins with all its calls, and each call has its output, in the plan's order."""
    question = script.text_of(items[0])
    if not script.is_question(question):
        return f"begins with {items[0]}"
    asked, plan = script.parse_question(question)
    middle = [item for item in items[1:] if item.get("type") in (_CALL, _OUTPUT)]
    stored = [(str(item["type"]), str(item["call_id"])) for item in middle]
    expected = [
        (kind, name)
        for step, letters in enumerate(plan)
        for kind in (_CALL, _OUTPUT)
        for _, name in script.call_ids(op, step, letters)
        if name not in optional or (kind, name) in stored
    ]
    calls = [name for kind, name in stored if kind == _CALL]
    outputs = [name for kind, name in stored if kind == _OUTPUT]
    # Outputs that the interrupt filled in come after those of tools that had ended.
    ordered = sorted(stored, key=lambda pair: expected.index(pair) if pair in expected else -1)
    if asked != op or sorted(calls) != sorted(outputs) or ordered != expected[: len(stored)]:
        return f"keeps {stored} of {expected}"
    if any(stored.index((_OUTPUT, name)) < stored.index((_CALL, name)) for name in calls):
        return f"has outputs before their calls: {stored}"
    kept = [item for item in middle if item["type"] == _OUTPUT]
    invented = [item for item in kept if not _is_known(item["call_id"], item["output"])]
    return f"has an output that no tool returned: {invented[0]}" if invented else ""


def _is_known(call_id: str, output: object) -> bool:
    known = output in (INTERRUPTED, OUTCOME_UNKNOWN, script.REJECTED)
    return known or str(output).startswith(f"{call_id} done by invocation ")


def _missing_calls(
    findings: Findings, name: tuple[str, str], turn: StoredTurn, ran: set[str]
) -> str:
    """A turn that was not taken over keeps each call that ran."""
    if name in findings.takeovers:
        return ""
    missing = ran - {str(item.get("call_id")) for item in turn.items}
    return f"does not keep its calls {sorted(missing)}, which ran" if missing else ""
