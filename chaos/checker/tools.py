"""Tools: what the ledger says was done, against what the committed turns say."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from chaos import script
from chaos.checker.findings import LET_GO, Findings, entry_op, gave_back
from chaos.history import ATTEMPT, Call, Entry, Execution
from turnwise.durable.calls import UNKNOWN

_LEFT_BEHIND = {"LeaseLost", "TurnAbandoned", "OutcomeUnknown", "WorkerDied", *LET_GO}
"""How a sending ends whose journal stays for whoever takes the turn over."""


def check(findings: Findings) -> None:
    lines: dict[tuple[str, str], list[Execution]] = defaultdict(list)
    by_op: dict[str, list[Execution]] = defaultdict(list)
    keys: dict[str, tuple[str, str]] = {}
    for line in findings.history.ledger:
        if line.tool == ATTEMPT:
            continue
        call = line.op, line.call_id
        lines[call].append(line)
        by_op[line.op].append(line)
        if keys.setdefault(line.key, call) != call:
            findings.violate("key", "", f"{call} and {keys[line.key]} have one key", line.op)
    for final in findings.history.finals:
        for entry in final.entries:
            op = entry_op(entry)
            if op in findings.by_op and entry.kind == "turn":
                _turn(findings, final.session, op, entry, lines, by_op)
    _superseded(findings)


def _turn(
    findings: Findings,
    session: str,
    op: str,
    entry: Entry,
    lines: dict[tuple[str, str], list[Execution]],
    by_op: dict[str, list[Execution]],
) -> None:
    calls = {call.call: call for call in findings.by_op[op]}
    outputs = {
        item["call_id"]: item["output"]
        for item in entry.items
        if item.get("type") == "function_call_output"
    }
    for item in entry.items:
        if item.get("type") == "function_call":
            name = item["call_id"]
            problem = _problem(
                findings,
                session,
                item["name"],
                outputs.get(name),
                lines[op, name],
                by_op[op],
                calls,
            )
            if not problem:
                continue
            if findings.may_be_lost(*findings.life(op)):
                findings.excuse("tools run again after a failover")
            else:
                findings.violate("tool", session, f"{name} of {op} {problem}", op)


def _problem(
    findings: Findings,
    session: str,
    tool: str,
    output: object,
    lines: list[Execution],
    ledger: list[Execution],
    calls: dict[int, Call],
) -> str:
    """What is wrong with one call of a committed turn."""
    turn_id = next(iter(calls.values())).turn_id
    taken_over = turn_id is not None and (session, turn_id) in findings.takeovers
    taken_over = taken_over or _was_given_back(calls.values())
    kept = [line for line in lines if not _was_rolled_back(calls.get(line.call))]
    if len({line.key for line in lines}) > 1:
        return "had different idempotency keys"
    if output == script.REJECTED:
        return "was rejected, and has run" if lines else ""
    if output == UNKNOWN:
        if tool == script.TOOLS["r"]:
            return "is repeatable, and is said to have an unknown outcome"
        if _went_on(lines, ledger):
            return "is said to be unknown, but the run had gone on behind it"
        return "" if taken_over else "is said to be unknown, but nobody took the turn over"
    if output not in [script.output(line.call_id, line.call) for line in lines]:
        return f"says {output!r}, which nobody who ran it said" if lines else "was never run"
    if tool == script.TOOLS["r"]:
        attempts = {line.attempt for line in kept}
        if len(kept) > len(attempts) or (len(kept) > 1 and not taken_over):
            return f"ran {len(kept)} times in {len(attempts)} attempts"
        return ""
    return f"ran {len(kept)} times" if len(kept) > 1 else ""


def _step(call_id: str) -> str:
    return call_id.rpartition(".")[2][0]


def _went_on(lines: list[Execution], all_lines: list[Execution]) -> bool:
    """Whether the worker that ran the call began a later step: the end was journaled then."""
    return any(
        other.call == line.call and _step(other.call_id) > _step(line.call_id)
        for line in lines
        for other in all_lines
    )


def _was_rolled_back(call: Call | None) -> bool:
    """Whether its worker gave the turn up, journal and all: a new sending then runs anew."""
    if call is None or call.kind == "resume" or call.outcome in ("ok", "pending"):
        return False
    return call.error not in _LEFT_BEHIND


def _was_given_back(calls: Iterable[Call]) -> bool:
    """Whether others may have gone on with it in good order."""
    return any(call.kind in ("submit", "resume") or gave_back(call) for call in calls)


def _superseded(findings: Findings) -> None:
    """A worker whose turn was taken over may end the tools of a step, and begins no other step."""
    steps: dict[int, set[str]] = defaultdict(set)
    for line in findings.history.ledger:
        if line.call < 0:
            continue
        call = findings.history.calls[line.call]
        if call.granted is None or call.turn_id is None:
            continue
        for takeover in findings.takeovers.get((call.session, call.turn_id), []):
            later = takeover.call != call.call and takeover.attempt > line.attempt
            if later and call.granted < takeover.at < line.at:
                steps[line.call].add(_step(line.call_id))
    for number, seen in steps.items():
        call = findings.history.calls[number]
        if len(seen) > 1 and not findings.may_be_lost(*findings.life(call.op)):
            text = f"{call.op} on {call.worker} went on with tools after it was taken over"
            findings.violate("went on", call.session, text, call.op)
