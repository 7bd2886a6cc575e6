"""A history with what all checks look up in it, and what they find."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from chaos.history import Call, Entry, Fault, Final, History, Takeover
from chaos.script import op_of

SLACK = 1.0
"""By how many seconds a fault's effect may begin before, or last longer than it was recorded."""


@dataclass(frozen=True)
class Violation:
    """A promise that was broken: which rule, where, how, and by which operations."""

    rule: str
    session: str
    text: str
    ops: tuple[str, ...] = ()

    def __str__(self) -> str:
        where = f" in {self.session}" if self.session else ""
        return f"{self.rule}{where}: {self.text}"


@dataclass
class Findings:
    """The history, indexed; `violations` and `excused` (by reason) are what the checks add.

    `cancelled`: the operations that somebody wanted to end; `pushy`: the sendings of turns that
    end whatever runs in their session, by session.
    """

    history: History
    violations: list[Violation] = field(default_factory=list)
    excused: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.by_op: dict[str, list[Call]] = defaultdict(list)
        self.by_session: dict[str, list[str]] = defaultdict(list)
        for call in self.history.calls:
            if call.op not in self.by_op:
                self.by_session[call.session].append(call.op)
            self.by_op[call.op].append(call)
        self.takeovers: dict[tuple[str, str], list[Takeover]] = defaultdict(list)
        for takeover in self.history.takeovers:
            self.takeovers[takeover.session, takeover.turn_id].append(takeover)
        self.finals: dict[str, Final] = {final.session: final for final in self.history.finals}
        self.cancelled = {call.params["op"] for call in self.history.calls if call.kind == "cancel"}
        self.pushy: dict[str, list[Call]] = defaultdict(list)
        for call in self.history.calls:
            if call.params.get("busy") in ("interrupt", "rollback"):
                self.pushy[call.session].append(call)
        self._lossy = [fault for fault in self.history.faults if fault.lossy]
        self._clocks = [fault for fault in self.history.faults if fault.kind == "clock stepped"]

    def violate(self, rule: str, session: str, text: str, *ops: str) -> None:
        self.violations.append(Violation(rule, session, text, ops))

    def excuse(self, reason: str) -> None:
        self.excused[reason] += 1

    def first_invoked(self, op: str) -> float:
        return min(call.invoked for call in self.by_op[op])

    def acknowledged(self, op: str) -> float | None:
        """When somebody was first told that it is done."""
        return _first_end(call for call in self.by_op[op] if is_done(call))

    def sent(self, op: str, ended: float) -> float:
        """When that was sent whose answer came then: what it tells of stood sometime between."""
        return max(call.invoked for call in self.by_op[op] if call.ended == ended)

    def accepted(self, op: str) -> float | None:
        """When the sender of a message was first told that it is in the queue."""
        return _first_end(call for call in self.by_op[op] if "accepted" in call.value)

    def stumbles(self, op: str) -> set[str]:
        """The tools of the operation that raise, at their first call or at each."""
        told = (call.params.get("stumbles") for call in self.by_op.get(op, ()))
        return {tool for tool in told if tool}

    def was_ended(self, op: str, *, start: float, end: float, busy: str = "") -> bool:
        """Whether somebody may have ended a turn of the operation then: a canceller, a pushy turn.

        `busy`: only such turns as want that.
        """
        if not busy and op in self.cancelled:
            return True
        return any(
            call.op != op
            and busy in ("", call.params["busy"])
            and call.invoked <= end
            and start <= (call.ended or float("inf"))
            for call in self.pushy.get(self.by_op[op][0].session, ())
        )

    def was_disturbed(self, start: float, end: float) -> bool:
        """Whether any fault was about then, or so shortly before."""
        return _overlap(self.history.faults, start, end)

    def life(self, op: str) -> tuple[float, float]:
        """From the first sending to the last answer; for ever if one is missing."""
        ends = [call.ended or float("inf") for call in self.by_op[op]]
        return self.first_invoked(op), max(ends)

    def may_be_lost(self, start: float, end: float) -> bool:
        """Whether a failover that may lose writes came between, or so shortly after or before.

        What was lost was written between its sending and its acknowledgement, which may be late:
        its worker was paused, say.
        """
        return _overlap(self._lossy, start, end)

    def clock_was_set(self, start: float, end: float) -> bool:
        return _overlap(self._clocks, start, end)


LET_GO = {"CancelledError", "StoreUnavailable", "StoreRefused"}
"""With what a sending ends that gives its turn back for the next one of the same turn_id."""


def gave_back(call: Call) -> bool:
    """Whether its worker may have given the turn up before its lease was over."""
    return call.outcome != "ok" and call.error in LET_GO


def is_done(call: Call) -> bool:
    """Whether it says that its operation has been done; accepting a message does not, say."""
    return call.outcome == "ok" and not _UNDONE & call.value.keys()


_UNDONE = {"accepted", "parked", "end"}


def _first_end(calls: Iterable[Call]) -> float | None:
    return min((call.ended for call in calls if call.ended is not None), default=None)


def _overlap(faults: Iterable[Fault], start: float, end: float) -> bool:
    return any(
        fault.start - SLACK <= end and start <= (fault.end or float("inf")) + SLACK
        for fault in faults
    )


def entry_op(entry: Entry) -> str | None:
    """Whose turn an entry is, as its first item says."""
    return op_of(entry.items[0]) if entry.items else None
