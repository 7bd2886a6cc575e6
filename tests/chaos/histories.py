"""Histories made by hand, for the checker."""

from __future__ import annotations

from typing import Any

from chaos import script
from chaos.checker import check
from chaos.history import (
    ATTEMPT,
    Call,
    DeadLetterEntry,
    Entry,
    Execution,
    Fault,
    Final,
    History,
    Home,
    Outcome,
    Takeover,
)

LEASE = 1.5


class Book:
    """A history that is written down call by call; what is committed stands in `stored`."""

    def __init__(self) -> None:
        self.history = History("valkey", 1, LEASE, calls=[])
        self.history.takeovers, self.history.faults, self.history.ledger = [], [], []
        self.history.finals, self.history.leftovers, self.history.letters = [], [], []
        self.stored: dict[str, list[Entry]] = {}

    def call(
        self,
        op: str,
        start: float,
        end: float | None,
        *,
        kind: str = "brief",
        home: Home = "turns",
        session: str = "s",
        outcome: Outcome = "ok",
        error: str = "",
        value: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        worker: str = "w",
        **more: Any,
    ) -> Call:
        """One sending."""
        named = f"t{op}" if home == "turns" and kind != "read" else None
        call = Call(
            len(self.history.calls), op, kind, home, session, named, worker, start, params or {}
        )
        call.outcome, call.ended, call.error, call.value = outcome, end, error, value or {}
        for name, given in more.items():
            setattr(call, name, given)
        self.history.calls.append(call)
        return call

    def turn(self, op: str, start: float, end: float, *, attempt: int = 1, **more: Any) -> Call:
        """A turn that went well, and says what it saw."""
        text = self.store(op, session=more.get("session", "s"), attempt=attempt)
        value = {"text": text, "added": 2}
        return self.call(op, start, end, value=value, attempt=attempt, granted=start, **more)

    def store(
        self,
        op: str,
        *,
        session: str = "s",
        plan: str = "",
        middle: tuple[Any, ...] = (),
        attempt: int = 1,
    ) -> str:
        """Let a turn stand in the store; what it says in the end."""
        entries = self.stored.setdefault(session, [])
        before = [item for entry in entries for item in entry.items]
        text = script.answer(op, before, attempt)
        items = [script.user(script.question(op, plan)), *middle, script.assistant(text)]
        entries.append(Entry(f"t{op}", "turn", items, len(items)))
        return text

    def run(self, op: str, plan: str, outputs: dict[str, str], **more: Any) -> Call:
        """A run with tools, whose outputs are given by call id, at second 1."""
        middle: list[Any] = []
        for number, letters in enumerate(plan.split("/")):
            ids = script.call_ids(op, number, letters)
            middle += [
                {"type": "function_call", "name": name, "call_id": call} for name, call in ids
            ]
            middle += [
                {"type": "function_call_output", "call_id": call, "output": outputs[call]}
                for _, call in ids
            ]
        text = self.store(op, plan=plan, middle=tuple(middle), attempt=0)
        value = {"text": text, "added": 2 + len(middle)}
        return self.call(
            op, 1.0, 9.0, kind="run", params={"plan": plan}, value=value, granted=1.0, **more
        )

    def executed(
        self,
        call: Call,
        call_id: str,
        *,
        tool: str = "tool",
        attempt: int = 1,
        key: str = "",
        at: float = 2.0,
    ) -> None:
        """A line of the ledger."""
        self.history.ledger.append(
            Execution(
                call.call, call.op, call.turn_id or "", call_id, tool, attempt, key or call_id, at
            )
        )

    def takeover(self, call: Call, attempt: int, at: float) -> None:
        self.history.takeovers.append(
            Takeover(call.call, call.session, call.turn_id or "", attempt, at)
        )

    def fault(self, kind: str, start: float, end: float, *, lossy: bool = False) -> None:
        self.history.faults.append(Fault(kind, start, end, lossy))

    def plain(self, session: str, *names: str) -> None:
        """What a session of plain changes holds in the end."""
        items = [script.user(f"op {name}") for name in names]
        self.stored[session] = [Entry("x", "append", items, len(items))]

    def close(self) -> History:
        """The history, with what is stored."""
        sessions = {call.session for call in self.history.calls}
        self.history.finals = [
            Final(name, entries, sum(len(entry.items) for entry in entries))
            for name in sorted(sessions)
            for entries in [self.stored.get(name, [])]
        ]
        return self.history

    def rules(self, least_ok: float = 0.0) -> list[str]:
        """Which rules are broken."""
        verdict = check(self.close(), least_ok=least_ok)
        return [violation.rule for violation in verdict.violations]

    def excuses(self) -> list[str]:
        """What is explained by faults, where nothing is broken."""
        verdict = check(self.close())
        assert verdict.violations == []
        return list(verdict.excused)

    def message(
        self, op: str, start: float, end: float, *, params: dict[str, Any] | None = None
    ) -> Call:
        """A message that was accepted."""
        value = {"accepted": True}
        params = params or {"plan": ""}
        return self.call(op, start, end, kind="submit", value=value, params=params)

    def ended(self, op: str, kind: str, items: list[Any] | None = None, session: str = "s") -> None:
        """A record that stands in the store, with what is left of its turn."""
        items = items or []
        self.stored.setdefault(session, []).append(Entry(f"t{op}", kind, items, len(items)))

    def letter(self, op: str, attempts: int) -> None:
        self.history.letters.append(DeadLetterEntry("s", f"t{op}", attempts, "Doomed: x"))

    def attempt(self, op: str, number: int) -> None:
        """A line of the ledger: the message was taken to be run."""
        key = f"{op}-{number}"
        self.history.ledger.append(
            Execution(-number, op, f"t{op}", key, ATTEMPT, number, key, float(number))
        )
