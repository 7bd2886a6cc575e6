"""Builds histories for the tests of the checker."""

from __future__ import annotations

from typing import Any

from chaos import script
from chaos.checker import check
from chaos.history import (
    ATTEMPT,
    DeadLetter,
    Execution,
    Fault,
    FinalState,
    History,
    Invocation,
    Outcome,
    SessionKind,
    StoredTurn,
    Takeover,
)

LEASE = 1.5


class HistoryBuilder:
    """A history, built record by record; `stored` holds the turns in the store, by session."""

    def __init__(self) -> None:
        self.history = History("valkey", 1, LEASE)
        self.stored: dict[str, list[StoredTurn]] = {}

    def invocation(
        self,
        op: str,
        start: float,
        end: float | None,
        *,
        kind: str = "short-turn",
        session_kind: SessionKind = "turns",
        session: str = "s",
        outcome: Outcome = "ok",
        error: str = "",
        value: dict[str, Any] | None = None,
        params: dict[str, Any] | None = None,
        worker: str = "w",
        **more: Any,
    ) -> Invocation:
        """One invocation."""
        turn_id = f"t{op}" if session_kind == "turns" and kind != "read" else None
        invocation = Invocation(
            id=len(self.history.invocations),
            op=op,
            kind=kind,
            session_kind=session_kind,
            session=session,
            turn_id=turn_id,
            worker=worker,
            invoked=start,
            params=params or {},
            outcome=outcome,
            completed=end,
            error=error,
            value=value or {},
        )
        for name, given in more.items():
            setattr(invocation, name, given)
        self.history.invocations.append(invocation)
        return invocation

    def turn(
        self, op: str, start: float, end: float, *, attempt: int = 1, **more: Any
    ) -> Invocation:
        """A committed turn whose answer states what it saw."""
        text = self.store(op, session=more.get("session", "s"), attempt=attempt)
        value = {"text": text, "added": 2}
        return self.invocation(op, start, end, value=value, attempt=attempt, granted=start, **more)

    def store(
        self,
        op: str,
        *,
        session: str = "s",
        plan: str = "",
        middle: tuple[Any, ...] = (),
        attempt: int = 1,
    ) -> str:
        """Store a turn; its answer."""
        turns = self.stored.setdefault(session, [])
        before = [item for turn in turns for item in turn.items]
        text = script.answer(op, before, attempt)
        items = [script.user(script.question(op, plan)), *middle, script.assistant(text)]
        turns.append(StoredTurn(f"t{op}", "turn", items, len(items)))
        return text

    def run(self, op: str, plan: str, outputs: dict[str, str], **more: Any) -> Invocation:
        """A committed run with tools, at second 1; `outputs` by call id."""
        middle: list[Any] = []
        for number, letters in enumerate(plan.split("/")):
            ids = script.call_ids(op, number, letters)
            middle += [
                {"type": "function_call", "name": name, "call_id": call_id} for name, call_id in ids
            ]
            middle += [
                {"type": "function_call_output", "call_id": call_id, "output": outputs[call_id]}
                for _, call_id in ids
            ]
        text = self.store(op, plan=plan, middle=tuple(middle), attempt=0)
        value = {"text": text, "added": 2 + len(middle)}
        return self.invocation(
            op, 1.0, 9.0, kind="run", params={"plan": plan}, value=value, granted=1.0, **more
        )

    def execution(
        self,
        invocation: Invocation,
        call_id: str,
        *,
        tool: str = "tool",
        attempt: int = 1,
        key: str = "",
        at: float = 2.0,
    ) -> None:
        """A line of the execution log: a tool ran."""
        op, turn_id = invocation.op, invocation.turn_id or ""
        self.history.executions.append(
            Execution(invocation.id, op, turn_id, call_id, tool, attempt, key or call_id, at)
        )

    def takeover(self, invocation: Invocation, attempt: int, at: float) -> None:
        self.history.takeovers.append(
            Takeover(invocation.id, invocation.session, invocation.turn_id or "", attempt, at)
        )

    def fault(self, kind: str, start: float, end: float, *, lossy: bool = False) -> None:
        self.history.faults.append(Fault(kind, start, end, lossy))

    def plain(self, session: str, *names: str) -> None:
        """Store the final items of a session of plain operations."""
        items = [script.user(f"op {name}") for name in names]
        self.stored[session] = [StoredTurn("x", "append", items, len(items))]

    def close(self) -> History:
        """The history, with its final states."""
        sessions = {one.session for one in self.history.invocations}
        self.history.final_states = [
            FinalState(name, turns, sum(len(turn.items) for turn in turns))
            for name in sorted(sessions)
            for turns in [self.stored.get(name, [])]
        ]
        return self.history

    def rules(self, min_ok: float = 0.0) -> list[str]:
        """The violated rules."""
        verdict = check(self.close(), min_ok=min_ok)
        return [violation.rule for violation in verdict.violations]

    def excuses(self) -> list[str]:
        """The excuses of a history without violations."""
        verdict = check(self.close())
        assert verdict.violations == []
        return list(verdict.excused)

    def message(
        self, op: str, start: float, end: float, *, params: dict[str, Any] | None = None
    ) -> Invocation:
        """An accepted message."""
        value = {"accepted": True}
        params = params or {"plan": ""}
        return self.invocation(op, start, end, kind="submit", value=value, params=params)

    def store_part(
        self, op: str, kind: str, items: list[Any] | None = None, session: str = "s"
    ) -> None:
        """Store a record of this kind, with the items that are kept of its turn."""
        items = items or []
        self.stored.setdefault(session, []).append(StoredTurn(f"t{op}", kind, items, len(items)))

    def dead_letter(self, op: str, attempts: int) -> None:
        self.history.dead_letters.append(DeadLetter("s", f"t{op}", attempts, "RunFailed: x"))

    def attempt(self, op: str, number: int) -> None:
        """A line of the execution log: an attempt of a message."""
        key = f"{op}-{number}"
        self.history.executions.append(
            Execution(-number, op, f"t{op}", key, ATTEMPT, number, key, float(number))
        )
