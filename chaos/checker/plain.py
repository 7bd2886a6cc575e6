"""Sessions of plain operations: is the history linearizable?

The search is that of Wing and Gong, with memoization. An operation whose outcome is unknown may
have taken effect at any time after its invocation, or never.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from chaos.checker.findings import Findings
from chaos.history import FinalState, Invocation
from chaos.script import op_of

_MAX_STATES = 200_000
State = tuple[str, ...]


@dataclass(frozen=True)
class Step:
    """An operation with its interval; `end` is infinite if unknown. `seen`: what it returned."""

    op: str
    kind: str
    start: float
    end: float
    names: State = ()
    seen: Any = None
    known: bool = True


def check(findings: Findings) -> None:
    for state in findings.history.final_states:
        invocations = findings.invocations_on(state.session)
        if not invocations or invocations[0].session_kind != "plain":
            continue
        if state.corruption:
            findings.violate("corrupt", state.session, state.corruption)
            continue
        _check_session(findings, state, invocations)


def _check_session(findings: Findings, state: FinalState, invocations: list[Invocation]) -> None:
    steps = steps_of(invocations, state)
    stuck = linearize(steps)
    if stuck is None:
        return
    if stuck == ():
        findings.excuse("plain sessions with too many states to decide")
        return
    start, end = (
        min(step.start for step in steps),
        max(one.completed or one.invoked for one in invocations),
    )
    if findings.overlaps_lossy_fault(start, end):
        findings.excuse("plain sessions that went through a failover, checked less")
        _no_duplicates(findings, state)
        return
    text = f"no order explains the results; the longest one cannot place {', '.join(stuck)}"
    findings.violate("not linearizable", state.session, text, *stuck)


def _no_duplicates(findings: Findings, state: FinalState) -> None:
    names = _names(state)
    for name in {name for name in names if names.count(name) > 1}:
        findings.violate(
            "duplicate", state.session, f"item {name} is stored twice", name.split(".")[0]
        )


def steps_of(invocations: list[Invocation], state: FinalState) -> list[Step]:
    """What may have had an effect, and what was read; the final state is the last read."""
    steps = [_step(one) for one in invocations if one.outcome != "fail"]
    steps = [step for step in steps if step.known or step.kind != "read-all"]
    last = max([step.start for step in steps] + [s.end for s in steps if s.known], default=0.0) + 1
    final_read = Step("the final state", "read-all", last, last, seen=tuple(_names(state)))
    return [*steps, final_read]


def _step(invocation: Invocation) -> Step:
    op, kind, value = invocation.op, invocation.kind, invocation.value
    known = invocation.outcome == "ok"
    names: State = ()
    if kind == "add":
        names = tuple(f"{op}.{n}" for n in range(invocation.params["count"]))
    elif kind == "rewrite":
        names = (f"{op}.0",)
    seen = value.get("item") if kind == "pop" else value.get("items")
    if isinstance(seen, list):
        seen = tuple(seen)
    completed = invocation.completed
    end = completed if known and completed is not None else float("inf")
    return Step(op, kind, invocation.invoked, end, names, seen, known)


def _names(state: FinalState) -> list[str]:
    return [op_of(item) or "?" for turn in state.turns for item in turn.items]


def apply(step: Step, state: State) -> State | None:
    """The state after a step, or None if the step cannot have returned what it did."""
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


def linearize(steps: list[Step]) -> tuple[str, ...] | None:
    """None if some order explains all; else the operations that the best order cannot place.

    An empty tuple: there are too many states to search.
    """
    steps = sorted(steps, key=lambda step: step.start)
    known = sum(1 << n for n, step in enumerate(steps) if step.known)
    visited: set[tuple[int, State]] = set()
    best = -1
    stuck: tuple[str, ...] = ()
    stack: list[tuple[int, State]] = [(0, ())]
    while stack:
        placed, state = stack.pop()
        if placed & known == known:
            return None
        if (placed, state) in visited:
            continue
        visited.add((placed, state))
        if len(visited) > _MAX_STATES:
            return ()
        candidates = _candidates(steps, placed)
        following = [
            (placed | 1 << n, later)
            for n in candidates
            if (later := apply(steps[n], state)) is not None
        ]
        count = (placed & known).bit_count()
        if count > best:
            best, stuck = count, tuple(steps[n].op for n in candidates if steps[n].known)
        # Known steps first: the depth-first search follows the likeliest order.
        stack += sorted(following, key=lambda pair: (pair[0] & known).bit_count())
    return stuck or (steps[-1].op,)


def _candidates(steps: list[Step], placed: int) -> list[int]:
    """The steps that may come next: no other one ended before they began."""
    deadline = min(
        (step.end for n, step in enumerate(steps) if not placed >> n & 1), default=float("inf")
    )
    return [n for n, step in enumerate(steps) if not placed >> n & 1 and step.start <= deadline]
