"""Messages: each accepted one ends once, in order, after no more attempts than allowed."""

from __future__ import annotations

from collections import Counter

from chaos import script
from chaos.checker.findings import Findings, is_message
from chaos.history import ATTEMPT, Execution, FinalState, Invocation, StoredTurn
from chaos.operations.messages import MAX_ATTEMPTS
from turnwise.background import Policy

_MOST_ATTEMPTS = MAX_ATTEMPTS + Policy(max_attempts=MAX_ATTEMPTS).max_deaths - 1
"""What workers may begin of a message: failures and deaths of workers are counted apart."""


def check(findings: Findings) -> None:
    executions = findings.history.executions
    attempts = Counter(line.op for line in executions if line.tool == ATTEMPT)
    failures = Counter(
        (line.op, line.call_id) for line in executions if _is_permanent_failure(findings, line)
    )
    failed = {op for op, _ in failures}
    repeated = {op for (op, _), count in failures.items() if count > 1}
    dead = {(one.session, one.turn_id): one.attempts for one in findings.history.dead_letters}
    for state in findings.history.final_states:
        ops = [op for op in findings.ops_on(state.session) if _is_message(findings, op)]
        for op in ops:
            turn_id = findings.by_op[op][0].turn_id or ""
            ends = [turn for turn in state.turns if turn.turn_id == turn_id]
            problem = (
                _end_problem(findings, op, ends)
                or _dead_problem(ends, dead.get((state.session, turn_id)), is_final=op in failed)
                or (op in repeated and "repeated a tool that had raised and is not repeatable")
                or _result_problem(findings.by_op[op], ends)
            )
            if not problem and attempts[op] > _MOST_ATTEMPTS:
                problem = f"was attempted {attempts[op]} times"
            if problem:
                reason = "messages that went through a failover"
                text = f"{op} {problem}"
                findings.violate_or_excuse("message", state.session, text, op, reason)
        _check_order(findings, state, set(ops))


def _is_message(findings: Findings, op: str) -> bool:
    return any(is_message(one) for one in findings.by_op[op])


def _end_problem(findings: Findings, op: str, ends: list[StoredTurn]) -> str:
    kinds = [turn.kind for turn in ends]
    if len(kinds) > 1:
        return f"ended {len(kinds)} times: {kinds}"
    if not kinds:
        return "was accepted, but never ended" if findings.accepted(op) else ""
    start, end = findings.interval(op)
    if kinds == ["cancelled"] and not findings.may_be_cancelled(op, start=start, end=end):
        return "was cancelled by nobody"
    return "" if kinds[0] in ("turn", "dead", "cancelled") else f"ended as {kinds[0]}"


def _is_permanent_failure(findings: Findings, line: Execution) -> bool:
    """Whether this is a tool that raised, and is not repeatable."""
    return line.tool in findings.failing_tools(line.op) - {script.TOOLS["r"]}


def _dead_problem(ends: list[StoredTurn], attempts: int | None, *, is_final: bool) -> str:
    """`is_final`: its error is permanent, so that another attempt is pointless."""
    if not ends or ends[0].kind != "dead":
        return ""
    if attempts is None:
        return "is dead, but there is no dead letter"
    is_early = attempts < MAX_ATTEMPTS and not is_final
    return f"was dead-lettered after {attempts} attempts" if is_early else ""


def _result_problem(invocations: list[Invocation], ends: list[StoredTurn]) -> str:
    """Who awaits a message learns how it ended."""
    kind = ends[0].kind if ends else "nothing"
    for invocation in invocations:
        reported = invocation.value.get("end")
        if reported is not None and reported != kind:
            return f"was reported as {reported}, but is {kind}"
    return ""


def _check_order(findings: Findings, state: FinalState, ops: set[str]) -> None:
    """A message that is sent after another one's acceptance is answered after it."""
    earliest, whose = float("inf"), ""
    for turn in reversed(state.turns):
        op = turn.turn_id.removeprefix("t")
        if op not in ops or turn.kind == "cancelled":
            continue
        sent = min(one.invoked for one in findings.by_op[op] if is_message(one))
        if earliest < sent and not findings.overlaps_lossy_fault(
            findings.invoked_of(whose, earliest), sent
        ):
            text = f"{op} was sent after {whose} was accepted, but answered before it"
            findings.violate("message order", state.session, text, op, whose)
        accepted = findings.accepted(op)
        if accepted is not None and accepted < earliest:
            earliest, whose = accepted, op
