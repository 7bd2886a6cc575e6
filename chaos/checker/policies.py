"""Interrupted turns: what they keep is whole and paired; rolled back ones leave no trace."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from chaos import script
from chaos.checker.findings import Findings, entry_op
from chaos.history import ATTEMPT, Entry
from turnwise.durable.calls import UNKNOWN
from turnwise.turns.stopped import INTERRUPTED

_CALL, _OUTPUT = "function_call", "function_call_output"


def check(findings: Findings) -> None:
    ran: dict[str, set[str]] = defaultdict(set)
    for line in findings.history.ledger:
        if line.tool != ATTEMPT:
            ran[line.op].add(line.call_id)
    for final in findings.history.finals:
        for entry in final.entries:
            op = entry_op(entry)
            if entry.kind != "cancelled" or op is None or op not in findings.by_op:
                continue
            spared = _spared(findings, op, entry.items)
            problem = _problem(findings, final.session, op, entry, spared) or _lacks(
                findings, (final.session, entry.turn_id), entry, ran[op] - spared
            )
            if not problem:
                continue
            if findings.may_be_lost(*findings.life(op)):
                findings.excuse("interrupted turns that went through a failover")
            else:
                findings.violate("interrupted", final.session, f"{op} {problem}", op)


def _spared(findings: Findings, op: str, items: list[dict[str, Any]]) -> set[str]:
    """Calls of steps in which a tool raised: of such a step the SDK keeps what had ended."""
    stumbles, text = findings.stumbles(op), script.text_of(items[0])
    if not script.is_question(text):
        return set()
    steps = [script.call_ids(op, *step) for step in enumerate(script.parse_question(text)[1])]
    return {name for step in steps for _, name in step if stumbles & {tool for tool, _ in step}}


def _problem(findings: Findings, session: str, op: str, entry: Entry, spared: set[str]) -> str:
    """What is wrong with what is left of a turn that was interrupted."""
    if findings.acknowledged(op) is not None:
        return "was acknowledged, and stands as interrupted"
    if any(call.value.get("kept") is False for call in findings.by_op[op]):
        return "was said to have left nothing, and something of it stands"
    start, end = findings.life(op)
    if not findings.was_ended(op, start=start, end=end, busy="interrupt"):
        return "left something in the history, and nobody wanted that kept"
    return _pairs(op, entry.items, spared)


def _pairs(op: str, items: list[dict[str, Any]], spared: set[str]) -> str:
    """Each step begins with all its calls, and each call has its output, in the plan's order."""
    if not script.is_question(script.text_of(items[0])):
        return f"begins with {items[0]}"
    asked, plan = script.parse_question(script.text_of(items[0]))
    middle = [item for item in items[1:] if item.get("type") in (_CALL, _OUTPUT)]
    there = [(str(item["type"]), str(item["call_id"])) for item in middle]
    expected = [
        (kind, name)
        for step, letters in enumerate(plan)
        for kind in (_CALL, _OUTPUT)
        for _, name in script.call_ids(op, step, letters)
        if name not in spared or (kind, name) in there
    ]
    calls = [name for kind, name in there if kind == _CALL]
    outputs = [name for kind, name in there if kind == _OUTPUT]
    # An output that was given by whoever interrupted comes behind those of tools that had ended.
    ordered = sorted(there, key=lambda pair: expected.index(pair) if pair in expected else -1)
    if asked != op or sorted(calls) != sorted(outputs) or ordered != expected[: len(there)]:
        return f"keeps {there} of {expected}"
    if any(there.index((_OUTPUT, name)) < there.index((_CALL, name)) for name in calls):
        return f"has outputs before their calls: {there}"
    told = [item for item in middle if item["type"] == _OUTPUT]
    odd = [item for item in told if not _is_known(item["call_id"], item["output"])]
    return f"has an output that nobody gave: {odd[0]}" if odd else ""


def _is_known(call_id: str, output: object) -> bool:
    known = output in (INTERRUPTED, UNKNOWN, script.REJECTED)
    return known or str(output).startswith(f"{call_id} done for call ")


def _lacks(findings: Findings, name: tuple[str, str], entry: Entry, ran: set[str]) -> str:
    """Of a turn that was not taken over, each call that ran is kept."""
    if name in findings.takeovers:
        return ""
    lacking = ran - {str(item.get("call_id")) for item in entry.items}
    return f"does not keep its calls {sorted(lacking)}, which ran" if lacking else ""
