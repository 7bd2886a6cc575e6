"""Sessions of plain changes: is there an order of the operations that explains all answers?

The search is that of Wing and Gong, with what is known to be hopeless remembered. An operation
whose outcome is unknown may have taken effect at any time after it was sent, or never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.checker.findings import Findings
from chaos.history import Call, Final
from chaos.script import op_of

_MOST_STATES = 200_000
State = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """An operation with its interval; `end` is infinite where nobody knows. `seen`: its answer."""

    op: str
    kind: str
    start: float
    end: float
    names: State = ()
    seen: Any = None
    known: bool = True


def check(findings: Findings) -> None:
    for final in findings.history.finals:
        calls = [
            call for op in findings.by_session.get(final.session, []) for call in findings.by_op[op]
        ]
        if not calls or calls[0].home != "plain":
            continue
        if final.trouble:
            findings.violate("damaged", final.session, final.trouble)
            continue
        _session(findings, final, calls)


def _session(findings: Findings, final: Final, calls: list[Call]) -> None:
    steps = steps_of(calls, final)
    stuck = explain(steps)
    if stuck is None:
        return
    if stuck == ():
        findings.excuse("plain sessions too entangled to decide")
        return
    start, end = (
        min(step.start for step in steps),
        max(call.ended or call.invoked for call in calls),
    )
    if findings.may_be_lost(start, end):
        findings.excuse("plain sessions that went through a failover, checked less")
        _nothing_twice(findings, final)
        return
    text = f"no order of the operations explains their answers; at the latest {', '.join(stuck)}"
    findings.violate("not explained", final.session, text, *stuck)


def _nothing_twice(findings: Findings, final: Final) -> None:
    names = _names(final)
    for name in {name for name in names if names.count(name) > 1}:
        findings.violate("twice", final.session, f"item {name} stands twice", name.split(".")[0])


def steps_of(calls: list[Call], final: Final) -> list[Step]:
    """What may have had an effect, and what was seen; the final content is the last read."""
    steps = [_step(call) for call in calls if call.outcome != "fail"]
    steps = [step for step in steps if step.known or step.kind != "read-all"]
    last = max([step.start for step in steps] + [s.end for s in steps if s.known], default=0.0) + 1
    final_read = Step("the final content", "read-all", last, last, seen=tuple(_names(final)))
    return [*steps, final_read]


def _step(call: Call) -> Step:
    known = call.outcome == "ok"
    names: State = ()
    if call.kind == "add":
        names = tuple(f"{call.op}.{n}" for n in range(call.params["count"]))
    elif call.kind == "rewrite":
        names = (f"{call.op}.0",)
    seen = call.value.get("item") if call.kind == "pop" else call.value.get("items")
    if isinstance(seen, list):
        seen = tuple(seen)
    end = call.ended if known and call.ended is not None else float("inf")
    return Step(call.op, call.kind, call.invoked, end, names, seen, known)


def _names(final: Final) -> list[str]:
    return [op_of(item) or "?" for entry in final.entries for item in entry.items]


def after(step: Step, state: State) -> State | None:
    """The state after a step, or None if its answer does not fit."""
    if step.kind == "add":
        return state + step.names
    if step.kind == "clear":
        return ()
    if step.kind == "pop":
        if step.known and step.seen != (state[-1] if state else None):
            return None
        return state[:-1]
    if step.known and step.seen != state:
        return None
    return step.names if step.kind == "rewrite" else state


def explain(steps: list[Step]) -> tuple[str, ...] | None:
    """None if some order explains all; else the operations that the best order cannot place.

    Nothing at all () says that the search was given up.
    """
    steps = sorted(steps, key=lambda step: step.start)
    certain = sum(1 << n for n, step in enumerate(steps) if step.known)
    hopeless: set[tuple[int, State]] = set()
    best = -1
    stuck: tuple[str, ...] = ()
    stack: list[tuple[int, State]] = [(0, ())]
    while stack:
        done, state = stack.pop()
        if done & certain == certain:
            return None
        if (done, state) in hopeless:
            continue
        hopeless.add((done, state))
        if len(hopeless) > _MOST_STATES:
            return ()
        open_steps = _possible(steps, done)
        following = [
            (done | 1 << n, later)
            for n in open_steps
            if (later := after(steps[n], state)) is not None
        ]
        placed = (done & certain).bit_count()
        if placed > best:
            best, stuck = placed, tuple(steps[n].op for n in open_steps if steps[n].known)
        # What is certain first: the search goes deep along the likeliest order.
        stack += sorted(following, key=lambda pair: (pair[0] & certain).bit_count())
    return stuck or (steps[-1].op,)


def _possible(steps: list[Step], done: int) -> list[int]:
    """Those that may come next: nobody else has ended before they began."""
    deadline = min(
        (step.end for n, step in enumerate(steps) if not done >> n & 1), default=float("inf")
    )
    return [n for n, step in enumerate(steps) if not done >> n & 1 and step.start <= deadline]
