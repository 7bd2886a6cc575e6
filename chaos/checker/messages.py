"""Messages: each accepted one has one end, in order, after no more attempts than are due."""

from __future__ import annotations

from collections import Counter

from chaos import script
from chaos.checker.findings import Findings
from chaos.history import ATTEMPT, Call, Entry, Execution, Final
from chaos.operations.messages import MOST_ATTEMPTS


def check(findings: Findings) -> None:
    ledger = findings.history.ledger
    attempts = Counter(line.op for line in ledger if line.tool == ATTEMPT)
    falls = Counter((line.op, line.call_id) for line in ledger if _fell_for_good(findings, line))
    fallen = {op for op, _ in falls}
    twice = {op for (op, _), count in falls.items() if count > 1}
    letters = {
        (letter.session, letter.turn_id): letter.attempts for letter in findings.history.letters
    }
    for final in findings.history.finals:
        ops = [op for op in findings.by_session.get(final.session, []) if _is_message(findings, op)]
        for op in ops:
            turn_id = findings.by_op[op][0].turn_id or ""
            ends = [entry for entry in final.entries if entry.turn_id == turn_id]
            problem = (
                _ends(findings, op, ends)
                or _dead(ends, letters.get((final.session, turn_id)), is_final=op in fallen)
                or (op in twice and "ran a tool again that had raised and may not repeat")
                or _told(findings.by_op[op], ends)
            )
            if not problem and attempts[op] > MOST_ATTEMPTS:
                problem = f"was attempted {attempts[op]} times"
            if problem and findings.may_be_lost(*findings.life(op)):
                findings.excuse("messages that went through a failover")
            elif problem:
                findings.violate("message", final.session, f"{op} {problem}", op)
        _in_order(findings, final, set(ops))


def _is_message(findings: Findings, op: str) -> bool:
    return any(call.kind == "submit" for call in findings.by_op[op])


def _ends(findings: Findings, op: str, ends: list[Entry]) -> str:
    kinds = [entry.kind for entry in ends]
    if len(kinds) > 1:
        return f"ended {len(kinds)} times: {kinds}"
    if not kinds:
        return "was accepted, and nothing became of it" if findings.accepted(op) else ""
    start, end = findings.life(op)
    if kinds == ["cancelled"] and not findings.was_ended(op, start=start, end=end):
        return "was cancelled by nobody"
    return "" if kinds[0] in ("turn", "dead", "cancelled") else f"ended as {kinds[0]}"


def _fell_for_good(findings: Findings, line: Execution) -> bool:
    """Whether this is a tool that raised, and may not be run again."""
    return line.tool in findings.stumbles(line.op) - {script.TOOLS["r"]}


def _dead(ends: list[Entry], attempts: int | None, *, is_final: bool) -> str:
    """`is_final`: by an error that no further attempt could mend."""
    if not ends or ends[0].kind != "dead":
        return ""
    if attempts is None:
        return "is dead, and there is no letter"
    is_too_soon = attempts < MOST_ATTEMPTS and not is_final
    return f"was given up after {attempts} attempts" if is_too_soon else ""


def _told(calls: list[Call], ends: list[Entry]) -> str:
    """Who waited for it was told what became of it."""
    kind = ends[0].kind if ends else "nothing"
    for call in calls:
        told = call.value.get("end")
        if told is not None and told != kind:
            return f"was said to be {told}, and is {kind}"
    return ""


def _in_order(findings: Findings, final: Final, ops: set[str]) -> None:
    """A message that was sent after another was accepted is answered after it."""
    earliest, whose = float("inf"), ""
    for entry in reversed(final.entries):
        op = entry.turn_id.removeprefix("t")
        if op not in ops or entry.kind == "cancelled":
            continue
        sent = min(call.invoked for call in findings.by_op[op] if call.kind == "submit")
        if earliest < sent and not findings.may_be_lost(findings.sent(whose, earliest), sent):
            text = f"{op} was sent after {whose} was accepted, and is answered before it"
            findings.violate("message order", final.session, text, op, whose)
        accepted = findings.accepted(op)
        if accepted is not None and accepted < earliest:
            earliest, whose = accepted, op
