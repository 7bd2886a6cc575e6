"""Tools: the execution log against what the committed turns say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chaos import script
from chaos.checker.findings import (
    RELEASING_ERRORS,
    Findings,
    is_message,
    may_have_released,
    op_of_turn,
)
from chaos.history import ATTEMPT, Execution, Invocation, StoredTurn
from turnwise.durable.calls import OUTCOME_UNKNOWN

_KEEP_JOURNAL = {"LeaseLost", "TurnAbandoned", "OutcomeUnknown", "WorkerDied", *RELEASING_ERRORS}
"""Errors of an invocation whose journal stays for the next attempt."""


class _Log:
    """The execution log without attempts of messages, by call and by operation."""

    def __init__(self, executions: Iterable[Execution]) -> None:
        self.by_call: dict[tuple[str, str], list[Execution]] = defaultdict(list)
        self.by_op: dict[str, list[Execution]] = defaultdict(list)
        for line in executions:
            if line.tool != ATTEMPT:
                self.by_call[line.op, line.call_id].append(line)
                self.by_op[line.op].append(line)


def check(findings: Findings) -> None:
    _check_keys(findings)
    log = _Log(findings.history.executions)
    for state in findings.history.final_states:
        for turn in state.turns:
            op = op_of_turn(turn)
            if op in findings.by_op and turn.kind == "turn":
                _check_turn(findings, state.session, op, turn, log)
    _no_zombies(findings)


def _check_keys(findings: Findings) -> None:
    """No two calls share an idempotency key."""
    keys: dict[str, tuple[str, str]] = {}
    for line in findings.history.executions:
        call = line.op, line.call_id
        if line.tool != ATTEMPT and keys.setdefault(line.key, call) != call:
            text = f"{call} and {keys[line.key]} have one key"
            findings.violate("idempotency key", "", text, line.op)


def _check_turn(findings: Findings, session: str, op: str, turn: StoredTurn, log: _Log) -> None:
    outputs = {
        item["call_id"]: item["output"]
        for item in turn.items
        if item.get("type") == "function_call_output"
    }
    for item in turn.items:
        if item.get("type") == "function_call":
            name = item["call_id"]
            lines = log.by_call[op, name]
            output = outputs.get(name)
            problem = _problem(findings, session, op, item["name"], output, lines, log.by_op[op])
            if problem:
                reason = "tools run again after a failover"
                text = f"{name} of {op} {problem}"
                findings.violate_or_excuse("tool executions", session, text, op, reason)


def _problem(
    findings: Findings,
    session: str,
    op: str,
    tool: str,
    output: object,
    lines: list[Execution],
    lines_of_op: list[Execution],
) -> str:
    """What is wrong with one call of a committed turn."""
    invocations = {one.id: one for one in findings.by_op[op]}
    is_repeatable = tool == script.TOOLS["r"]
    kept = [line for line in lines if not _was_rolled_back(invocations.get(line.invocation))]
    if len({line.key for line in lines}) > 1:
        return "had different idempotency keys"
    if output == script.REJECTED:
        return "was rejected, but ran" if lines else ""
    if output == OUTCOME_UNKNOWN:
        if is_repeatable:
            return "is repeatable, but its outcome is reported as unknown"
        if _was_journaled(lines, lines_of_op):
            return "is reported as unknown, but the run continued with a later step"
        is_taken_over = _may_be_taken_over(findings, session, op)
        return "" if is_taken_over else "is reported as unknown, but nobody took the turn over"
    if output not in [script.output(line.call_id, line.invocation) for line in lines]:
        return f"has the output {output!r}, which no execution returned" if lines else "never ran"
    if is_repeatable:
        attempts = {line.attempt for line in kept}
        is_taken_over = _may_be_taken_over(findings, session, op)
        if len(kept) > len(attempts) or (len(kept) > 1 and not is_taken_over):
            return f"ran {len(kept)} times in {len(attempts)} attempts"
        return ""
    return f"ran {len(kept)} times" if len(kept) > 1 else ""


def _may_be_taken_over(findings: Findings, session: str, op: str) -> bool:
    """Whether another worker may have continued the turn: by a takeover, or after a release."""
    invocations = findings.by_op[op]
    turn_id = invocations[0].turn_id
    if turn_id is not None and (session, turn_id) in findings.takeovers:
        return True
    return any(
        one.kind == "resume" or is_message(one) or may_have_released(one) for one in invocations
    )


def _step(call_id: str) -> str:
    return call_id.rpartition(".")[2][0]


def _was_journaled(lines: list[Execution], lines_of_op: list[Execution]) -> bool:
    """Whether the worker that ran the call began a later step: it had journaled the call's end."""
    return any(
        other.invocation == line.invocation and _step(other.call_id) > _step(line.call_id)
        for line in lines
        for other in lines_of_op
    )


def _was_rolled_back(invocation: Invocation | None) -> bool:
    """Whether its worker aborted the turn and its journal, so that the next one starts over."""
    if invocation is None or invocation.kind == "resume" or invocation.outcome in ("ok", "invoke"):
        return False
    return invocation.error not in _KEEP_JOURNAL


def _no_zombies(findings: Findings) -> None:
    """A worker whose turn was taken over may finish the tools of a step, but begins no other."""
    steps: dict[int, set[str]] = defaultdict(set)
    for line in findings.history.executions:
        if line.invocation < 0:
            continue
        invocation = findings.history.invocations[line.invocation]
        if invocation.granted is None or invocation.turn_id is None:
            continue
        for takeover in findings.takeovers.get((invocation.session, invocation.turn_id), []):
            is_later = takeover.invocation != invocation.id and takeover.attempt > line.attempt
            if is_later and invocation.granted < takeover.at < line.at:
                steps[line.invocation].add(_step(line.call_id))
    for number, seen in steps.items():
        invocation = findings.history.invocations[number]
        op = invocation.op
        if len(seen) > 1 and not findings.overlaps_lossy_fault(*findings.interval(op)):
            text = f"{op} on {invocation.worker} continued with tools after it was taken over"
            findings.violate("zombie", invocation.session, text, op)
