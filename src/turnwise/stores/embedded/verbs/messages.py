"""Messages: how they come into a session's queue, and are opened as turns."""

from __future__ import annotations

from turnwise.limits import LATE_MS
from turnwise.stores.embedded.state import Entry, Turn
from turnwise.stores.embedded.verbs.description import running
from turnwise.stores.embedded.verbs.history import duplicate, find, record_at, stale
from turnwise.stores.embedded.verbs.lease import (
    blocked,
    granted,
    kept_for,
    open_turn,
    remaining,
    waits,
)
from turnwise.stores.embedded.verbs.queue import called_off, claim_left, head, queued
from turnwise.stores.embedded.verbs.session import READY, Session
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Duplicate,
    Full,
    Grant,
    Idle,
    Late,
    Parked,
    Queued,
    Running,
    Stale,
)


class MessageVerbs:
    """The verbs of those who send messages, and of those who take them."""

    _s: Session

    def next(
        self, token: str, lease: int, base: Base | None, *, worker: str
    ) -> Grant | Busy | Parked | Idle | Stale:
        s, turn = self._s, self._s.header.turn
        if not s.exists:
            return Idle()
        if token in s.header.finished:
            return stale(s)
        if turn is not None and turn.background and not waits(s, turn):
            return self._next_of(turn, token, lease, base, worker)
        if turn is not None and self._is_left_alone(turn):
            return Idle()
        if (answer := blocked(s)) is not None:
            return answer
        first = head(s)
        if first is None:
            return Idle()
        if first.kind == "ticket":
            return Busy(first.worker, first.turn_id, claim_left(s))
        return self._open_message(first, token, lease, base, worker, first.attempts + 1)

    def _is_left_alone(self, turn: Turn) -> bool:
        """A dead turn with no message behind it is nobody's business, and may be gone on with."""
        s = self._s
        if waits(s, turn) or remaining(s, turn) > 0:
            return False
        return all(entry.kind != "message" for entry in s.state.queue)

    def _next_of(
        self, turn: Turn, token: str, lease: int, base: Base | None, worker: str
    ) -> Grant | Busy:
        """While a turn from the queue is open: it is its worker's, or is taken over."""
        s = self._s
        message = queued(s, turn.id)
        assert message is not None
        if turn.token == token:
            return granted(s, base, message.message)
        if (left := kept_for(s, turn)) > 0:
            return Busy(turn.worker, turn.id, left)
        return self._open_message(message, token, lease, base, worker, turn.attempt + 1)

    def _open_message(
        self,
        message: Entry,
        token: str,
        lease: int,
        base: Base | None,
        worker: str,
        attempt: int,
    ) -> Grant:
        turn_id = message.turn_id
        released = message.released
        open_turn(
            self._s, turn_id, token, worker, lease, attempt, background=True, released=released
        )
        return granted(self._s, base, message.message)

    def submit(
        self, turn_id: str, message: bytes, intent: int | None, again: str | None
    ) -> Accepted | Duplicate | Busy | Full | Late:
        s, turn = self._s, self._s.header.turn
        if (entry := queued(s, turn_id)) is not None:
            if entry.kind == "called off":
                return called_off(s, entry)
            same = entry.message == message
            return Accepted(s.state.queue.index(entry)) if same else Duplicate(None)
        position = find(s, turn_id)
        if position is not None and not self._may_rise(position, again):
            return duplicate(s, position)
        if turn is not None and turn.id == turn_id:
            return Busy(turn.worker, turn.id, max(0, remaining(s, turn)))
        if intent and s.now - intent > LATE_MS:
            return Late()
        if len(s.state.queue) >= s.limits.max_queue:
            return Full(s.limits.max_queue)
        s.keep()
        s.state.queue.append(Entry(turn_id, "message", message))
        s.refresh_expiry()
        s.wake.append(("", READY))
        return Accepted(len(s.state.queue) - 1)

    def _may_rise(self, position: int, dead_letter_id: str | None) -> bool:
        """Whether the turn is dead by this letter, and is to be tried anew."""
        ending = record_at(self._s, position)
        return dead_letter_id is not None and (ending.kind, ending.payload) == (
            "dead",
            dead_letter_id.encode(),
        )

    def status(self, turn_id: str) -> Queued | Running | Parked | Duplicate | Absent:
        s, turn = self._s, self._s.header.turn
        if turn is not None and turn.id == turn_id:
            return running(s, turn)
        if (entry := queued(s, turn_id)) is not None:
            if entry.kind == "called off":
                return called_off(s, entry)
            attempts = entry.attempts - entry.released
            return Queued("", turn_id, 0, s.state.queue.index(entry), attempts)
        position = find(s, turn_id)
        return Absent() if position is None else duplicate(s, position)
