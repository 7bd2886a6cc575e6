"""A history with its indexes, and the violations that the checks find in it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.history import Fault, History, Invocation, StoredTurn, Takeover
from chaos.operations import KINDS
from chaos.script import op_of

MARGIN = 1.0
"""Seconds by which a fault's effect may precede or outlast its recorded interval."""


@dataclass(frozen=True)
class Violation:
    """A violated rule: in which session, how, and by which operations."""

    rule: str
    session: str
    text: str
    ops: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in {self.session}" if self.session else ""
        return f"{self.rule}{where}: {self.text}"


@dataclass
class Findings:
    """The history, indexed. The checks add to `violations` and to `excused` (counts by reason).

    `cancelled_ops`: the operations that somebody wanted to cancel; `preempting`: the invocations
    that interrupt or roll back whatever runs in their session, by session.
    """

    history: History
    violations: list[Violation] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        history = self.history
        self.by_op: dict[str, list[Invocation]] = defaultdict(list)
        self.by_session: dict[str, list[str]] = defaultdict(list)
        self.preempting: dict[str, list[Invocation]] = defaultdict(list)
        for invocation in history.invocations:
            if invocation.op not in self.by_op:
                self.by_session[invocation.session].append(invocation.op)
            self.by_op[invocation.op].append(invocation)
            if invocation.params.get("busy") in ("interrupt", "rollback"):
                self.preempting[invocation.session].append(invocation)
        self.takeovers: dict[tuple[str, str], list[Takeover]] = defaultdict(list)
        for takeover in history.takeovers:
            self.takeovers[takeover.session, takeover.turn_id].append(takeover)
        self.cancelled_ops = {one.params["op"] for one in history.invocations if is_cancel(one)}
        self._lossy = [fault for fault in history.faults if fault.lossy]
        self._clock_steps = [fault for fault in history.faults if fault.kind == "clock stepped"]

    def violate(self, rule: str, session: str, text: str, *ops: str) -> None:
        self.violations.append(Violation(rule, session, text, ops))

    def excuse(self, reason: str) -> None:
        self.excused[reason] += 1

    def violate_or_excuse(self, rule: str, session: str, text: str, op: str, reason: str) -> None:
        """A violation, unless a lossy fault during the operation explains it."""
        if self.overlaps_lossy_fault(*self.interval(op)):
            self.excuse(reason)
        else:
            self.violate(rule, session, text, op)

    # Operations.

    def ops_on(self, session: str) -> list[str]:
        """The operations on a session, in the order of their first invocations."""
        return self.by_session.get(session, [])

    def invocations_on(self, session: str) -> list[Invocation]:
        return [invocation for op in self.ops_on(session) for invocation in self.by_op[op]]

    def first_invoked(self, op: str) -> float:
        return min(one.invoked for one in self.by_op[op])

    def acknowledged(self, op: str) -> float | None:
        """When a caller first learned that it is done."""
        return _first_completion(one for one in self.by_op[op] if is_done(one))

    def accepted(self, op: str) -> float | None:
        """When the sender of a message first learned that it is in the queue."""
        return _first_completion(one for one in self.by_op[op] if "accepted" in one.value)

    def invoked_of(self, op: str, completed: float) -> float:
        """When the invocation began that completed then: its effect lies in between."""
        return max(one.invoked for one in self.by_op[op] if one.completed == completed)

    def interval(self, op: str) -> tuple[float, float]:
        """From the first invocation to the last response; infinite if one is missing."""
        ends = [one.completed or float("inf") for one in self.by_op[op]]
        return self.first_invoked(op), max(ends)

    def failing_tools(self, op: str) -> set[str]:
        """The tools of the operation that raise, in the first attempt or in each."""
        names = (one.params.get("failing_tool") for one in self.by_op.get(op, ()))
        return {name for name in names if name}

    def may_be_cancelled(self, op: str, *, start: float, end: float, busy: str = "") -> bool:
        """Whether a cancel or a preempting turn may have ended a turn of the operation then.

        `busy`: only preempting turns with this mode.
        """
        if not busy and op in self.cancelled_ops:
            return True
        return any(
            one.op != op
            and busy in ("", one.params["busy"])
            and one.invoked <= end
            and start <= (one.completed or float("inf"))
            for one in self.preempting.get(self.by_op[op][0].session, ())
        )

    # Faults.

    def overlaps_fault(self, start: float, end: float) -> bool:
        """Whether any fault was active then, or shortly before."""
        return _overlap(self.history.faults, start, end)

    def overlaps_lossy_fault(self, start: float, end: float) -> bool:
        """Whether a failover that may lose writes happened then, or shortly before or after.

        A lost write happened between its invocation and its acknowledgement, which may be late:
        its worker was paused, say.
        """
        return _overlap(self._lossy, start, end)

    def overlaps_clock_step(self, start: float, end: float) -> bool:
        return _overlap(self._clock_steps, start, end)


def is_message(invocation: Invocation) -> bool:
    """Whether it sends a message, which a queue worker runs."""
    return KINDS[invocation.kind].is_message


def is_cancel(invocation: Invocation) -> bool:
    """Whether it is to end another operation's turn."""
    return KINDS[invocation.kind].is_cancel


RELEASING_ERRORS = {"CancelledError", "Overloaded", "StoreUnavailable", "StoreRefused"}
"""Errors of an invocation that releases its turn for the next one with the same turn_id."""


def may_have_released(invocation: Invocation) -> bool:
    """Whether its worker may have released the turn before its lease expired.

    One that was killed tells nobody of the overload that it had released the turn for.
    """
    if invocation.error == "WorkerDied":
        return bool(invocation.params.get("overloaded"))
    return invocation.outcome != "ok" and invocation.error in RELEASING_ERRORS


def is_done(invocation: Invocation) -> bool:
    """Whether its response says that the operation is done; acceptance of a message does not."""
    return invocation.outcome == "ok" and not _NOT_DONE & invocation.value.keys()


_NOT_DONE = {"accepted", "parked", "end"}


def _first_completion(invocations: Iterable[Invocation]) -> float | None:
    return min((one.completed for one in invocations if one.completed is not None), default=None)


def _overlap(faults: Iterable[Fault], start: float, end: float) -> bool:
    return any(
        fault.start - MARGIN <= end and start <= (fault.end or float("inf")) + MARGIN
        for fault in faults
    )


def op_of_turn(turn: StoredTurn) -> str | None:
    """The operation that the first item of a stored turn names."""
    return op_of(turn.items[0]) if turn.items else None
