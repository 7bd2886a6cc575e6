"""Turns: each acknowledged one is stored exactly once, whole, right after what it saw, in order."""

from __future__ import annotations

from typing import Any

from chaos import script
from chaos.checker.findings import Findings, is_done, op_of_turn
from chaos.history import FinalState, Invocation, StoredTurn
from chaos.operations import KINDS


def check(findings: Findings) -> None:
    for state in findings.history.final_states:
        if not _holds_turns(findings, state.session):
            continue
        if state.corruption:
            findings.violate("corrupt", state.session, state.corruption)
            continue
        by_op = _turns_by_op(findings, state)
        _check_whole(findings, state)
        _check_snapshots(findings, state)
        _check_order(findings, state)
        for op in findings.by_session[state.session]:
            if KINDS[findings.by_op[op][0].kind].is_turn:
                _check_once(findings, state.session, op, by_op.get(op, []))


def _holds_turns(findings: Findings, session: str) -> bool:
    ops = findings.ops_on(session)
    return bool(ops) and findings.by_op[ops[0]][0].session_kind != "plain"


def _turns_by_op(findings: Findings, state: FinalState) -> dict[str, list[StoredTurn]]:
    """The stored turns of each operation, without the kept parts of interrupted ones."""
    by_op: dict[str, list[StoredTurn]] = {}
    for turn in state.turns:
        op = op_of_turn(turn)
        if op is None:
            continue
        if op not in findings.by_op:
            findings.violate("unexpected", state.session, f"nobody invoked {op}", op)
        elif turn.kind != "cancelled":
            by_op.setdefault(op, []).append(turn)
    return by_op


def _check_once(findings: Findings, session: str, op: str, stored: list[StoredTurn]) -> None:
    invocations = findings.by_op[op]
    acknowledged = findings.acknowledged(op)
    if len(stored) > 1:
        findings.violate("duplicate", session, f"{op} is stored {len(stored)} times", op)
    elif not stored and acknowledged is not None:
        if findings.overlaps_lossy_fault(findings.invoked_of(op, acknowledged), acknowledged):
            findings.excuse("acknowledged turns lost to a failover")
        else:
            findings.violate("lost", session, f"{op} was acknowledged, but is not stored", op)
    elif stored:
        if all(one.outcome == "fail" for one in invocations):
            errors = ", ".join(sorted({one.error for one in invocations}))
            text = f"{op} failed ({errors}), but is stored"
            findings.violate("failed but present", session, text, op)
        _check_answers(findings, session, op, stored[0])


def _check_answers(findings: Findings, session: str, op: str, turn: StoredTurn) -> None:
    """All invocations of a turn, and all its streams, return the stored answer."""
    text, added = script.text_of(turn.items[-1]), len(turn.items)
    for invocation in findings.by_op[op]:
        if not is_done(invocation):
            continue
        value = invocation.value
        answer = value.get("text"), value.get("added", added)
        streamed = value.get("streamed", value.get("text"))
        if answer != (text, added) or streamed not in (answer[0], ""):
            what = f"{op} returned {value}, but {(text, added)} is stored"
            reason = "answers of turns lost and run again"
            findings.violate_or_excuse("answer mismatch", session, what, op, reason)


def _check_whole(findings: Findings, state: FinalState) -> None:
    for turn in state.turns:
        op = op_of_turn(turn)
        if turn.item_count != len(turn.items):
            text = f"{turn.turn_id}: {turn.item_count} items recorded, {len(turn.items)} stored"
            findings.violate("item count", state.session, text, *([op] if op else []))
        if op is None or op not in findings.by_op:
            if turn.kind == "turn":
                text = f"{turn.turn_id} has no question"
                findings.violate("incomplete", state.session, text)
            continue
        if turn.kind == "cancelled":  # see `policies`
            continue
        problem = _problem(findings.by_op[op][0], turn)
        if problem:
            findings.violate("incomplete", state.session, f"{op}: {problem}", op)


def _problem(invocation: Invocation, turn: StoredTurn) -> str:
    """Why a stored turn is not the whole turn that was invoked."""
    if invocation.turn_id is not None and turn.turn_id != invocation.turn_id:
        return f"its turn_id is {turn.turn_id}"
    if len(turn.items) < 2:
        return "it has no answer"
    first, *middle, last = turn.items
    if not script.is_question(script.text_of(first)):
        return f"it begins with {first}"
    op, plan = script.parse_question(script.text_of(first))
    answer = script.parse_answer(script.text_of(last))
    if answer is None or answer[0] != op:
        return f"it ends with {last}"
    return _pairing_problem(op, plan, middle)


def _pairing_problem(op: str, plan: list[str], middle: list[dict[str, Any]]) -> str:
    """Each step's calls, then each call's output, in the order of the plan."""
    expected: list[tuple[str, str]] = []
    for step, letters in enumerate(plan):
        ids = [name for _, name in script.call_ids(op, step, letters)]
        expected += [("function_call", name) for name in ids]
        expected += [("function_call_output", name) for name in ids]
    stored = [(str(item.get("type")), str(item.get("call_id"))) for item in middle]
    return "" if stored == expected else f"its calls are {stored}, not {expected}"


def _check_snapshots(findings: Findings, state: FinalState) -> None:
    """Each turn states what it saw when it began: exactly that is stored before it."""
    items, before = 0, script.NO_OP
    for turn in state.turns:
        op = op_of_turn(turn)
        answer = script.parse_answer(script.text_of(turn.items[-1])) if turn.items else None
        if answer is not None and (answer[1], answer[2]) != (items, before):
            text = f"{op} saw {answer[1]} items, the last of {answer[2]}; before it are {items}, "
            text += f"the last of {before}"
            ops = answer[0], answer[2], before
            findings.violate("wrong snapshot", state.session, text, *ops)
        items += len(turn.items)
        before = script.last_op(turn.items) if turn.items else before


def _check_order(findings: Findings, state: FinalState) -> None:
    """A turn that is invoked after another one's acknowledgement is stored after it."""
    earliest, whose = float("inf"), ""
    for turn in reversed(state.turns):
        op = op_of_turn(turn)
        if op is None or op not in findings.by_op:
            continue
        invoked = findings.first_invoked(op)
        if earliest < invoked and not findings.overlaps_lossy_fault(
            findings.invoked_of(whose, earliest), invoked
        ):
            text = f"{op} was invoked after {whose} was acknowledged, but is stored before it"
            findings.violate("real-time order", state.session, text, op, whose)
        acknowledged = findings.acknowledged(op)
        if acknowledged is not None and acknowledged < earliest:
            earliest, whose = acknowledged, op
