"""Reads of sessions of turns: each saw the history as it was at some moment, and not an old one."""

from __future__ import annotations

from chaos import script
from chaos.checker.findings import Findings, entry_op
from chaos.history import Call, Final


def check(findings: Findings) -> None:
    for final in findings.history.finals:
        calls = [
            call
            for op in findings.by_session.get(final.session, [])
            for call in findings.by_op[op]
            if call.kind == "read" and call.outcome == "ok"
        ]
        if calls:
            _Reads(findings, final).check(calls)


class _Reads:
    def __init__(self, findings: Findings, final: Final) -> None:
        self._findings = findings
        self._session = final.session
        self._ends: dict[int, str] = {0: script.NOBODY}
        self._place: dict[str, int] = {script.NOBODY: 0}
        self._acknowledged: list[tuple[float, int, str]] = []
        items = 0
        for entry in final.entries:
            op = entry_op(entry)
            if op is None or op not in findings.by_op:
                continue
            items += len(entry.items)
            self._ends[items], self._place[op] = op, items
            time = findings.acknowledged(op)
            if time is not None:
                self._acknowledged.append((time, items, op))

    def check(self, calls: list[Call]) -> None:
        for call in calls:
            place = self._seen(call)
            if place is None:
                continue
            late = max(
                (
                    (at, op)
                    for time, at, op in self._acknowledged
                    if time < call.invoked and not self._done_again(op, time, call)
                ),
                default=(0, ""),
            )
            if late[0] > place and not self._lost(call):
                text = f"read {call.op} saw {call.value}, but {late[1]} was acknowledged before"
                self._findings.violate("old read", self._session, text, call.op, late[1])

    def _done_again(self, op: str, acknowledged: float, read: Call) -> bool:
        """Whether a failover may have lost it before the read, and somebody saw to it anew.

        To a message that is in the queue again the workers see by themselves.
        """
        calls = self._findings.by_op[op]
        anew = any(call.invoked > acknowledged or call.kind == "submit" for call in calls)
        return anew and self._findings.may_be_lost(
            self._findings.sent(op, acknowledged), read.invoked
        )

    def _seen(self, call: Call) -> int | None:
        """The place in the history up to which it saw; None if that cannot be told."""
        last = call.value["last"]
        place = self._place.get(last)
        full = "limit" not in call.params
        if place is None or (full and self._ends.get(call.value["items"]) != last):
            if self._lost(call):
                self._findings.excuse("reads of turns lost to a failover")
            else:
                text = f"read {call.op} saw {call.value}, which the history never was"
                self._findings.violate("odd read", self._session, text, call.op, last)
            return None
        return place

    def _lost(self, call: Call) -> bool:
        return self._findings.may_be_lost(call.invoked, call.ended or float("inf"))
