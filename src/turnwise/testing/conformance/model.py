"""A model of the contract: which answers are right, and what they do to the session.

Where time decides (has the lease expired?), the model accepts both answers, and continues from the
one that the store gave. It knows nothing of how a store works.
"""

from __future__ import annotations

from typing import Any

from turnwise import types as t
from turnwise.testing.conformance.model_state import (
    NOBODY,
    REMEMBERED,
    ModelSession,
    Open,
    Waiting,
)

Call = tuple[str, dict[str, Any]]


class Model(ModelSession):
    """One session that is never deleted. `accept` asserts that an answer is right."""

    def accept(self, call: Call, answer: object) -> None:
        verb, args = call
        getattr(self, f"_{verb}")(answer, **args)

    def _append(self, answer: object, op_id: str, items: list[bytes]) -> None:
        self._changed(answer, op_id, self.items + items, cut=False)

    def _clear(self, answer: object, op_id: str) -> None:
        self._changed(answer, op_id, [], cut=True)

    def _pop(self, answer: object, op_id: str, base: t.Base) -> None:
        if isinstance(answer, t.Stale):
            self._refused_for(op_id, base)
            return
        assert op_id in self.finished or base == self.tip or not isinstance(answer, t.Done)
        self._changed(answer, op_id, self.items[:-1], cut=True)

    def _replace(
        self, answer: object, op_id: str, base: t.Base, keep: int, items: list[bytes]
    ) -> None:
        if isinstance(answer, t.Stale):
            self._refused_for(op_id, base)
            return
        assert op_id in self.finished or base == self.tip or not isinstance(answer, t.Done)
        self._changed(answer, op_id, self.items[:keep] + items, cut=True)

    def _refused_for(self, op_id: str, base: t.Base) -> None:
        assert op_id not in self.finished
        if base == self.tip:  # this very call abandoned a dead turn
            assert self.open is not None
            assert self.open.journal
            self._free()

    def _begin(
        self,
        answer: object,
        turn_id: str,
        token: str,
        mortal: bool,
        resume: bool = False,
        ticket_ms: bool = False,
        **_: Any,
    ) -> None:
        if isinstance(answer, t.Grant):
            self._granted(answer, turn_id, token, mortal, resume)
        elif isinstance(answer, t.Stale):
            assert token in self.ended
        elif isinstance(answer, t.Duplicate):
            assert turn_id in self.finished
            self._leave(token)
        elif isinstance(answer, t.Absent):
            assert resume
        elif isinstance(answer, t.Queued) and answer.turn_id == turn_id and not answer.worker:
            assert any(e.turn_id == turn_id for e in self.queue if not e.token)
            self._leave(token)
        else:
            self._waits(answer, turn_id, token, ticket_ms)
        if turn_id in self.finished:
            assert isinstance(answer, t.Duplicate | t.Stale)
        if token in self.ended[-REMEMBERED:] and not isinstance(answer, t.Duplicate):
            assert isinstance(answer, t.Stale)

    def _granted(
        self, grant: t.Grant, turn_id: str, token: str, mortal: bool, resume: bool
    ) -> None:
        turn = self.open
        if turn is not None and turn.turn_id == turn_id:
            if turn.token != token:
                dead = turn.mortal and not turn.background and not turn.resumed
                assert dead or (resume and (turn.parked or (turn.resumed and turn.mortal)))
                self._forget(turn.token)
                turn.token, turn.attempt, turn.mortal = token, turn.attempt + 1, mortal
                turn.resumed, turn.parked = turn.resumed or turn.parked, False
                self._leave(token)
            assert (grant.attempt, grant.journal) == (turn.attempt, turn.journal)
            assert (grant.released, grant.cancel_mode) == (turn.released, turn.cancel_mode)
            assert grant.cancel_reason == turn.cancel_reason
        else:
            self._free()
            assert all(e.token == token or e.token for e in self._before(token))
            self._leave(token)
            assert (grant.attempt, grant.journal) == (1, [])
            self.open = Open(turn_id, token, 1, mortal)
        assert grant.items == len(self.items)

    def _before(self, token: str) -> list[Waiting]:
        """The entries before this caller's; callers among them may be passed over."""
        indexes = [i for i, e in enumerate(self.queue) if e.token == token]
        return self.queue[: indexes[0]] if indexes else self.queue

    def _leave(self, token: str) -> None:
        self.queue = [e for e in self.queue if e.token != token]

    def _waits(self, answer: object, turn_id: str, token: str, ticket: bool) -> None:
        assert isinstance(answer, t.Busy | t.Queued | t.Parked | t.Stopped)
        is_suspended = isinstance(answer, t.Parked | t.Stopped)
        assert is_suspended or isinstance(answer, t.Queued) == ticket
        blocks = self.open is not None and answer.turn_id == self.open.turn_id
        if not blocks:
            assert answer.turn_id in [e.turn_id for e in self.queue]
        if isinstance(answer, t.Queued) and not any(e.token == token for e in self.queue):
            self.queue.append(Waiting(turn_id, token))

    def _next(self, answer: object, token: str, mortal: bool) -> None:
        turn = self.open
        messages = [e for e in self.queue if not e.token]
        if isinstance(answer, t.Idle):
            assert not messages
        elif isinstance(answer, t.Stale):
            assert token in self.ended
        elif not isinstance(answer, t.Grant):
            if turn is not None and not isinstance(answer, t.Busy):
                self._blocked(answer)
        elif turn is not None and turn.background:
            if turn.token != token:
                assert (turn.mortal, turn.delayed) == (True, False)
                assert turn.resumed <= turn.decided
                self._forget(turn.token)
                turn.token, turn.attempt, turn.mortal = token, turn.attempt + 1, mortal
            assert (answer.attempt, answer.journal) == (turn.attempt, turn.journal)
            assert (answer.released, answer.cancel_mode) == (turn.released, turn.cancel_mode)
            assert answer.cancel_reason == turn.cancel_reason
            assert answer.message == turn.message
        else:
            self._free()
            first = messages[0]
            assert (answer.turn_id, answer.message) == (first.turn_id, first.message)
            self.open = Open(first.turn_id, token, answer.attempt, mortal, background=True)
            self.open.message, self.open.released = first.message, answer.released
            assert answer.journal == []

    def _journal(
        self, answer: object, turn_id: str, token: str, index: int, entries: list[bytes]
    ) -> None:
        turn = self._held(turn_id, token)
        end = index + len(entries)
        if isinstance(answer, t.Done):
            assert turn is not None
            if index == len(turn.journal):
                turn.journal += entries
            assert turn.journal[index:end] == entries
        else:
            assert isinstance(answer, t.Stale)
            assert turn is None or (
                index != len(turn.journal) and turn.journal[index:end] != entries
            )

    def _renew(self, answer: object, turn_id: str, token: str) -> None:
        turn = self._held(turn_id, token)
        right = None if turn is None else t.Renewed(turn.cancel_mode, turn.cancel_reason)
        assert isinstance(answer, t.Stale) if turn is None else answer == right

    def _park(self, answer: object, turn_id: str, token: str, state: bytes) -> None:
        turn = self._held(turn_id, token)
        if turn is None:
            opened = self.open
            before = opened is not None and (opened.turn_id, opened.state) == (turn_id, state)
            assert isinstance(answer, t.Done if before else t.Stale)
            return
        assert isinstance(answer, t.Done)
        turn.journal = [state]
        turn.state, turn.parked, turn.mortal, turn.decided = state, True, False, False
        turn.cancel_mode = None if turn.cancel_mode == "keep" else turn.cancel_mode
        turn.released += 1

    def _stop(self, answer: object, turn_id: str, token: str, letter: bytes) -> None:
        turn = self._held(turn_id, token)
        if turn is None:
            stopped = self._stopped_at(turn_id, letter) is not None
            assert isinstance(answer, t.Done if stopped else t.Stale)
            return
        assert isinstance(answer, t.Done)
        turn.letter, turn.journal, turn.state = letter, [letter], None
        turn.cancel_mode, turn.resumed, turn.mortal, turn.decided = None, False, False, False

    def _stopped_at(self, turn_id: str, letter: bytes) -> Open | None:
        turn = self.open
        stopped = turn is not None and (turn.turn_id, turn.letter) == (turn_id, letter)
        return turn if stopped else None

    def _abort(self, answer: None, turn_id: str, token: str) -> None:
        assert answer is None
        if self._held(turn_id, token):
            self._end()
        else:
            self._forget(token)
        self._leave(token)

    def _release(
        self,
        answer: None,
        turn_id: str,
        token: str,
        counted: bool,
        delay_ms: int = 0,
        decided: bool | None = None,
    ) -> None:
        turn = self._held(turn_id, token)
        self._abort(None, "", token)
        if turn is not None and not (turn.background or turn.resumed or turn.journal):
            self.open = None
        elif turn is not None:
            turn.token, turn.mortal = NOBODY, True
            turn.released += not counted
            turn.decided = turn.decided if decided is None else decided and turn.background
            turn.delayed = delay_ms > 0 and turn.background and turn.resumed <= turn.decided

    def _dead_letter(self, answer: object, turn_id: str, token: str, letter: bytes) -> None:
        held = self._held(turn_id, token) or self._stopped_at(turn_id, letter)
        commit_id = f"dead-{token}"
        if not isinstance(answer, t.Done):
            assert isinstance(answer, t.Stale)
            assert held is None
            assert self.finished.get(turn_id) != commit_id
        elif self.finished.get(turn_id) != commit_id:
            assert held is not None
            self._finish(held, commit_id)

    def _finish(self, turn: Open, commit_id: str) -> None:
        self.finished[turn.turn_id] = commit_id
        if turn.background:
            self.queue = [e for e in self.queue if e.token or e.turn_id != turn.turn_id]
        self._end()

    def _commit(
        self,
        answer: object,
        turn_id: str,
        token: str,
        base: t.Base,
        commit_id: str,
        items: list[bytes],
        keep: int | None,
        kind: str,
    ) -> None:
        before = self.finished.get(turn_id) == commit_id
        held = self._held(turn_id, token)
        if not isinstance(answer, t.Done):
            assert isinstance(answer, t.Stale)
            assert not before
            assert held is None or base != self.tip
            return
        assert answer.tip.commit_id == commit_id
        if before:
            return
        assert held is not None
        assert base == self.tip
        assert turn_id not in self.finished
        self.items = self.items[:keep] + items
        self.cuts += keep is not None
        if kind == "cancelled":
            self.cancelled[turn_id] = b""
            self.kept |= {turn_id} if items else set()
        self._finish(held, commit_id)

    def _submit(self, answer: object, turn_id: str, message: bytes) -> None:
        waits = next((e for e in self.queue if not e.token and e.turn_id == turn_id), None)
        if isinstance(answer, t.Accepted):
            assert turn_id not in self.finished
            if waits is None:
                self.queue.append(Waiting(turn_id, "", message))
            else:
                assert waits.message == message
        elif isinstance(answer, t.Busy):
            assert self.open is not None
            assert (self.open.turn_id, waits) == (turn_id, None)
        else:
            assert isinstance(answer, t.Duplicate)
            assert turn_id in self.finished or (waits and waits.message != message)

    def _cancel(
        self,
        answer: object,
        turn_id: str,
        keep: bool,
        force: bool,
        open_only: bool,
        reason: str = "",
    ) -> None:
        turn = self.open
        is_open = turn is not None and turn.turn_id == turn_id
        queued = any(e.turn_id == turn_id for e in self.queue if not e.token)
        if isinstance(answer, t.Duplicate):
            assert turn_id in self.finished
            assert turn_id not in self.cancelled or turn_id in self.kept
        elif isinstance(answer, t.Cancelled) and answer.outcome == "flagged":
            assert turn is not None
            assert is_open
            assert not force
            turn.cancel_mode = "keep" if keep and turn.cancel_mode != "drop" else "drop"
            turn.cancel_reason = turn.cancel_reason or reason
        elif isinstance(answer, t.Cancelled) and answer.outcome == "dropped":
            stays = open_only or not queued
            assert is_open or not stays or turn_id in self.cancelled.keys() - self.kept
            if turn is not None and is_open:
                stopped = turn.letter is not None
                assert turn.mortal or turn.parked or stopped or force
                assert not (keep and (turn.parked or stopped))
                reason = turn.cancel_reason or reason
                self._end()
            self.queue = [e for e in self.queue if e.token or e.turn_id != turn_id]
            self.finished.setdefault(turn_id, "cancelled")
            assert answer.payload == self.cancelled.setdefault(turn_id, reason.encode())
        else:
            assert answer == t.Cancelled("absent", turn_id)
            if keep and turn is not None and self._is_suspended(turn):
                return
            assert not is_open
            assert not queued or open_only
            assert turn_id not in self.finished
