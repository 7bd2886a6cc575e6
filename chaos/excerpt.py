"""The part of a history that concerns a violation, as text."""

from __future__ import annotations

from chaos.checker import Violation
from chaos.history import History, Invocation

_MAX_LINES = 60
_SECONDS_BEFORE = 5.0
"""Faults are shown that were active so long before the first event."""


def excerpt(history: History, violation: Violation) -> list[str]:
    """All events of the violation's operations, in order of time, with the faults meanwhile."""
    zero = min((one.invoked for one in history.invocations), default=0.0)
    invocations = [one for one in history.invocations if one.op in violation.ops]
    numbers = {one.id for one in invocations}
    events = [event for one in invocations for event in _events(one)]
    events += [
        (t.at, f"takeover  {t.turn_id} attempt {t.attempt} granted (invocation {t.invocation})")
        for t in history.takeovers
        if t.invocation in numbers
    ]
    events += [
        (x.at, f"execution {x.tool} {x.call_id} attempt {x.attempt} (invocation {x.invocation})")
        for x in history.executions
        if x.op in violation.ops
    ]
    if events:
        start, end = min(map(_time, events)) - _SECONDS_BEFORE, max(map(_time, events))
        events += [
            (
                f.start,
                f"fault     {f.kind} {f.target} {f.note} until {(f.end or f.start) - zero:.3f}",
            )
            for f in history.faults
            if f.start <= end and (f.end or f.start) >= start
        ]
    lines = [f"{time - zero:10.3f}  {text}" for time, text in sorted(events, key=_time)]
    return [*_shortened(lines), *_stored_turns(history, violation)]


def _time(event: tuple[float, str]) -> float:
    return event[0]


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MAX_LINES:
        return lines
    half = _MAX_LINES // 2
    return [*lines[:half], f"... {len(lines) - _MAX_LINES} lines ...", *lines[-half:]]


def _events(one: Invocation) -> list[tuple[float, str]]:
    what = f"{one.kind} op {one.op} on {one.worker} (invocation {one.id})"
    events = [(one.invoked, f"invoke    {what} {one.params or ''}")]
    if one.granted is not None:
        events.append((one.granted, f"granted   {what} attempt {one.attempt}"))
    if one.completed is not None:
        events.append((one.completed, f"{one.outcome:9} {what} {one.error or one.value}"))
    return events


def _stored_turns(history: History, violation: Violation) -> list[str]:
    """The turns of the operations in the final state."""
    lines = []
    for state in history.final_states:
        if state.session != violation.session:
            continue
        for position, turn in enumerate(state.turns):
            text = str(turn.items)[:300]
            if any(f"op {op} " in text or f"'op {op}." in text for op in violation.ops):
                lines.append(f"    stored  turn {position} {turn.kind} {turn.turn_id}: {text}")
    return lines
