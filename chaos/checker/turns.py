"""Turns: each acknowledged one exactly once, whole, behind what it saw, in the order accepted."""

from __future__ import annotations

from typing import Any

from chaos import script
from chaos.checker.findings import Findings, entry_op, is_done
from chaos.history import Call, Entry, Final

_NO_TURNS = {"read", "cancel"}


def check(findings: Findings) -> None:
    for final in findings.history.finals:
        if not _is_of_turns(findings, final.session):
            continue
        if final.trouble:
            findings.violate("damaged", final.session, final.trouble)
            continue
        places = _places(findings, final)
        _whole(findings, final)
        _behind_what_they_saw(findings, final)
        _in_order(findings, final)
        for op in findings.by_session[final.session]:
            if findings.by_op[op][0].kind not in _NO_TURNS:
                _once(findings, final.session, op, places.get(op, []))


def _is_of_turns(findings: Findings, session: str) -> bool:
    ops = findings.by_session.get(session, [])
    return bool(ops) and findings.by_op[ops[0]][0].home != "plain"


def _places(findings: Findings, final: Final) -> dict[str, list[Entry]]:
    """The entries of each operation, but for what is left of those that were interrupted."""
    places: dict[str, list[Entry]] = {}
    for entry in final.entries:
        op = entry_op(entry)
        if op is None:
            continue
        if op not in findings.by_op:
            findings.violate("from nowhere", final.session, f"nobody asked for {op}", op)
        elif entry.kind != "cancelled":
            places.setdefault(op, []).append(entry)
    return places


def _once(findings: Findings, session: str, op: str, entries: list[Entry]) -> None:
    calls = findings.by_op[op]
    acknowledged = findings.acknowledged(op)
    if len(entries) > 1:
        findings.violate("twice", session, f"{op} stands {len(entries)} times", op)
    elif not entries and acknowledged is not None:
        if findings.may_be_lost(findings.sent(op, acknowledged), acknowledged):
            findings.excuse("acknowledged turns lost to a failover")
        else:
            findings.violate("lost", session, f"{op} was acknowledged and is not there", op)
    elif entries:
        if all(call.outcome == "fail" for call in calls):
            errors = ", ".join(sorted({call.error for call in calls}))
            findings.violate("undead", session, f"{op} failed ({errors}) and is there", op)
        _answers(findings, session, op, entries[0])


def _answers(findings: Findings, session: str, op: str, entry: Entry) -> None:
    """Whoever sends a turn again is told what it was, and streams tell the same."""
    text, added = script.text_of(entry.items[-1]), len(entry.items)
    for call in findings.by_op[op]:
        if not is_done(call):
            continue
        told = call.value.get("text"), call.value.get("added", added)
        streamed = call.value.get("streamed", call.value.get("text"))
        if told != (text, added) or streamed not in (told[0], ""):
            if findings.may_be_lost(*findings.life(op)):
                findings.excuse("answers of turns lost and run again")
                continue
            findings.violate(
                "answer", session, f"{op} was told {call.value}, but is {(text, added)}", op
            )


def _whole(findings: Findings, final: Final) -> None:
    for entry in final.entries:
        op = entry_op(entry)
        if entry.counted != len(entry.items):
            text = f"{entry.turn_id}: {entry.counted} counted, {len(entry.items)} there"
            findings.violate("count", final.session, text, *([op] if op else []))
        if op is None or op not in findings.by_op:
            if entry.kind == "turn":
                findings.violate("not whole", final.session, f"{entry.turn_id} has no question")
            continue
        if entry.kind == "cancelled":  # see `policies`
            continue
        call = findings.by_op[op][0]
        problem = _problem(call, entry)
        if problem:
            findings.violate("not whole", final.session, f"{op}: {problem}", op)


def _problem(call: Call, entry: Entry) -> str:
    """What keeps an entry from being the whole turn that was asked for."""
    if call.turn_id is not None and entry.turn_id != call.turn_id:
        return f"its turn_id is {entry.turn_id}"
    if len(entry.items) < 2:
        return "it has no answer"
    first, *middle, last = entry.items
    if not script.is_question(script.text_of(first)):
        return f"it begins with {first}"
    op, plan = script.parse_question(script.text_of(first))
    told = script.parse_answer(script.text_of(last))
    if told is None or told[0] != op:
        return f"it ends with {last}"
    return _pairs(op, plan, middle)


def _pairs(op: str, plan: list[str], middle: list[dict[str, Any]]) -> str:
    """Each step's calls, and each call's output, in the order of the plan."""
    expected: list[tuple[str, str]] = []
    for step, letters in enumerate(plan):
        ids = [name for _, name in script.call_ids(op, step, letters)]
        expected += [("function_call", name) for name in ids]
        expected += [("function_call_output", name) for name in ids]
    there = [(str(item.get("type")), str(item.get("call_id"))) for item in middle]
    return "" if there == expected else f"between are {there}, not {expected}"


def _behind_what_they_saw(findings: Findings, final: Final) -> None:
    """Each turn says what it saw at its begin: that, and nothing else, must stand before it."""
    items, before = 0, script.NOBODY
    for entry in final.entries:
        op = entry_op(entry)
        told = script.parse_answer(script.text_of(entry.items[-1])) if entry.items else None
        if told is not None and (told[1], told[2]) != (items, before):
            text = f"{op} saw {told[1]} items, the last of {told[2]}; {items} stand there, "
            findings.violate(
                "saw something else",
                final.session,
                f"{text}the last of {before}",
                told[0],
                told[2],
                before,
            )
        items += len(entry.items)
        before = script.last_op(entry.items) if entry.items else before


def _in_order(findings: Findings, final: Final) -> None:
    """A turn asked for after another's acknowledgement stands behind it."""
    earliest, whose = float("inf"), ""
    for entry in reversed(final.entries):
        op = entry_op(entry)
        if op is None or op not in findings.by_op:
            continue
        sent = findings.first_invoked(op)
        if earliest < sent and not findings.may_be_lost(findings.sent(whose, earliest), sent):
            text = f"{op} was asked for after {whose} was acknowledged, and stands before it"
            findings.violate("order", final.session, text, op, whose)
        acknowledged = findings.acknowledged(op)
        if acknowledged is not None and acknowledged < earliest:
            earliest, whose = acknowledged, op
