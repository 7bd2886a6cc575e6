"""Reads of sessions of turns: each saw a prefix of the history, and not a stale one."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings, is_message, op_of_turn
from chaos.history import FinalState, Invocation


def check(findings: Findings) -> None:
    for state in findings.history.final_states:
        invocations = findings.invocations_on(state.session)
        reads = [one for one in invocations if one.kind == "read" and one.outcome == "ok"]
        if reads:
            _Reads(findings, state).check(reads)


class _Reads:
    """The positions (numbers of items) at which the turns of a history end."""

    def __init__(self, findings: Findings, state: FinalState) -> None:
        self._findings = findings
        self._session = state.session
        self._op_at: dict[int, str] = {0: script.NO_OP}
        self._position_of: dict[str, int] = {script.NO_OP: 0}
        self._acknowledged: list[tuple[float, int, str]] = []
        items = 0
        for turn in state.turns:
            op = op_of_turn(turn)
            if op is None or op not in findings.by_op:
                continue
            items += len(turn.items)
            self._op_at[items], self._position_of[op] = op, items
            time = findings.acknowledged(op)
            if time is not None:
                self._acknowledged.append((time, items, op))

    def check(self, reads: list[Invocation]) -> None:
        for read in reads:
            seen = self._position_seen(read)
            if seen is None:
                continue
            acknowledged, op = max(
                (
                    (position, op)
                    for time, position, op in self._acknowledged
                    if time < read.invoked and not self._is_redone(op, time, read)
                ),
                default=(0, ""),
            )
            if acknowledged > seen and not self._overlaps_lossy_fault(read):
                text = f"read {read.op} saw {read.value}, but {op} was acknowledged before"
                self._findings.violate("stale read", self._session, text, read.op, op)

    def _is_redone(self, op: str, acknowledged: float, read: Invocation) -> bool:
        """Whether a failover may have lost it before the read, and somebody invoked it again.

        A message needs no new invocation: it is in the queue again.
        """
        invocations = self._findings.by_op[op]
        again = any(one.invoked > acknowledged or is_message(one) for one in invocations)
        return again and self._findings.overlaps_lossy_fault(
            self._findings.invoked_of(op, acknowledged), read.invoked
        )

    def _position_seen(self, read: Invocation) -> int | None:
        """The position up to which it saw the history; None if there is no such position."""
        last = read.value["last"]
        position = self._position_of.get(last)
        is_full = "limit" not in read.params
        if position is None or (is_full and self._op_at.get(read.value["items"]) != last):
            if self._overlaps_lossy_fault(read):
                self._findings.excuse("reads of turns lost to a failover")
            else:
                text = f"read {read.op} saw {read.value}, which the history never was"
                self._findings.violate("impossible read", self._session, text, read.op, last)
            return None
        return position

    def _overlaps_lossy_fault(self, read: Invocation) -> bool:
        return self._findings.overlaps_lossy_fault(read.invoked, read.completed or float("inf"))
