"""The shortest part of a history that shows a violation, as text."""

from __future__ import annotations

from chaos.checker import Violation
from chaos.history import Call, History

_MOST = 60


def excerpt(history: History, violation: Violation) -> list[str]:
    """All that concerns the violation's operations, in order of time, faults included."""
    zero = min((call.invoked for call in history.calls), default=0.0)
    calls = [call for call in history.calls if call.op in violation.ops]
    numbers = {call.call for call in calls}
    events = [event for call in calls for event in _events(call)]
    events += [
        (t.at, f"takeover  {t.turn_id} attempt {t.attempt} granted (call {t.call})")
        for t in history.takeovers
        if t.call in numbers
    ]
    events += [
        (x.at, f"ledger    {x.tool} {x.call_id} attempt {x.attempt} (call {x.call})")
        for x in history.ledger
        if x.op in violation.ops
    ]
    if events:
        start, end = min(map(_time, events)) - 5.0, max(map(_time, events))
        events += [
            (
                f.start,
                f"fault     {f.kind} {f.target} {f.note} until {(f.end or f.start) - zero:.3f}",
            )
            for f in history.faults
            if f.start <= end and (f.end or f.start) >= start
        ]
    lines = [f"{time - zero:10.3f}  {text}" for time, text in sorted(events, key=_time)]
    return [*_shortened(lines), *_stored(history, violation)]


def _time(event: tuple[float, str]) -> float:
    return event[0]


def _shortened(lines: list[str]) -> list[str]:
    if len(lines) <= _MOST:
        return lines
    half = _MOST // 2
    return [*lines[:half], f"... {len(lines) - _MOST} lines ...", *lines[-half:]]


def _events(call: Call) -> list[tuple[float, str]]:
    what = f"{call.kind} op {call.op} on {call.worker} (call {call.call})"
    events = [(call.invoked, f"invoke    {what} {call.params or ''}")]
    if call.granted is not None:
        events.append((call.granted, f"granted   {what} attempt {call.attempt}"))
    if call.ended is not None:
        events.append((call.ended, f"{call.outcome:9} {what} {call.error or call.value}"))
    return events


def _stored(history: History, violation: Violation) -> list[str]:
    """Where the operations' turns stand in the end."""
    lines = []
    for final in history.finals:
        if final.session != violation.session:
            continue
        for place, entry in enumerate(final.entries):
            text = str(entry.items)[:300]
            if any(f"op {op} " in text or f"'op {op}." in text for op in violation.ops):
                lines.append(f"    stored  entry {place} {entry.kind} {entry.turn_id}: {text}")
    return lines
