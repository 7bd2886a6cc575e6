"""Messages: how they come into a session's queue, and are opened as turns."""

from __future__ import annotations

from typing import Any

from turnwise.limits import LATE_MS, READ_LIMIT
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.history import duplicate, find_turn, record_of, stale
from turnwise.stores.embedded.verbs.lease import (
    blocked,
    granted,
    is_finished,
    lease_left,
    next_attempt_in,
    open_turn,
)
from turnwise.stores.embedded.verbs.queue import (
    cancelled_duplicate,
    find_message,
    has_message,
    head,
    head_time_left,
)
from turnwise.stores.embedded.verbs.session import READY, SessionVerbs
from turnwise.stores.header import StoredTurn
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
    QueueEntry,
    Running,
    Stale,
    Stopped,
    Suspect,
    Taken,
)


class MessageVerbs(SessionVerbs):
    """The verbs of those who submit messages, and of the workers that take them."""

    def next(
        self,
        token: str,
        lease_ms: int,
        base: Base | None = None,
        *,
        worker: str,
        alone: bool = False,
        max_deaths: int | None = None,
    ) -> Grant | Suspect | Busy | Parked | Stopped | Idle | Stale:
        s, turn = self._s, self._s.header.turn
        request = token, lease_ms, base, worker, alone, max_deaths
        if not s.exists:
            return Idle()
        if is_finished(s.header, token):
            return stale(s)
        for_workers = turn is not None and (turn.decided or turn.suspended(s.now) is None)
        if turn is not None and turn.background and for_workers:
            return self._take_over(turn, *request)
        if turn is not None and self._is_dead(turn) and not has_message(s):
            return Idle()  # the turn stays as it is: its sender may come back
        if (answer := blocked(s)) is not None:
            return answer
        first = head(s)
        if first is None:
            return Idle()
        if first.kind == "ticket":
            return Busy(first.worker, first.turn_id, head_time_left(s))
        return self._open_message(first, *request)

    def _is_dead(self, turn: StoredTurn) -> bool:
        return turn.suspended(self._s.now) is None and lease_left(self._s, turn) <= 0

    def _take_over(
        self, turn: StoredTurn, token: str, lease_ms: int, base: Base | None, *request: Any
    ) -> Grant | Suspect | Busy:
        """While a message's turn is open: it is its worker's, or is taken over when that died."""
        s = self._s
        message = find_message(s, turn.id)
        assert message is not None
        if turn.token == token:
            return granted(s, base, message.message)
        if (left_ms := next_attempt_in(s, turn)) > 0:
            return Busy(turn.worker, turn.id, left_ms)
        return self._open_message(message, token, lease_ms, base, *request)

    def _open_message(
        self,
        message: Entry,
        token: str,
        lease_ms: int,
        base: Base | None,
        worker: str,
        alone: bool,
        max_deaths: int | None,
    ) -> Grant | Suspect:
        if max_deaths is not None and message.deaths > max_deaths:
            return Suspect(message.turn_id, message.deaths)
        turn = message.turn_id, token, worker, lease_ms
        open_turn(self._s, *turn, message=message, alone=alone)
        return granted(self._s, base, message.message)

    def submit(
        self,
        turn_id: str,
        message: bytes,
        announced_at: int | None = None,
        *,
        retry_of: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late | Taken:
        s, turn = self._s, self._s.header.turn
        if s.taken:
            return Taken()
        if (entry := find_message(s, turn_id)) is not None:
            if entry.kind == "cancelled":
                return cancelled_duplicate(s, entry)
            same = entry.message == message
            return Accepted(s.state.queue.index(entry)) if same else Duplicate(None)
        position = find_turn(s, turn_id)
        if position is not None and not self._is_dead_by(position, retry_of):
            return duplicate(s, position)
        if turn is not None and turn.id == turn_id:
            return Busy(turn.worker, turn.id, max(0, lease_left(s, turn)))
        if announced_at and s.now - announced_at > LATE_MS:
            return Late()
        if len(s.state.queue) >= s.limits.max_queue:
            return Full(s.limits.max_queue)
        s.save()
        s.state.queue.append(Entry(turn_id, "message", message, submitted=s.now))
        s.refresh_expiry()
        s.next_up.append(("", READY))
        return Accepted(len(s.state.queue) - 1)

    def _is_dead_by(self, position: int, dead_letter_id: str | None) -> bool:
        """Whether the turn whose marker is there is dead by this letter."""
        record = record_of(self._s, position)
        known = record.payload.decode() if record.kind == "dead" else None
        return known is not None and known == dead_letter_id

    def status(self, turn_id: str) -> Queued | Running | Parked | Stopped | Duplicate | Absent:
        s, turn = self._s, self._s.header.turn
        if turn is not None and turn.id == turn_id:
            return self._open_status(turn)
        if (entry := find_message(s, turn_id)) is not None:
            if entry.kind == "cancelled":
                return cancelled_duplicate(s, entry)
            place, failed = s.state.queue.index(entry), entry.attempts - entry.released
            return Queued("", turn_id, 0, place, failed, s.now - entry.submitted)
        position = find_turn(s, turn_id)
        return Absent() if position is None else duplicate(s, position)

    def queue(self, count: int) -> list[QueueEntry]:
        s, found = self._s, list[QueueEntry]()
        for entry in s.state.queue[:count] if s.exists else ():
            if entry.kind == "message":
                since, attempts = entry.submitted, entry.attempts - entry.released
                content = attempts, max(0, s.now - since), "", entry.message
                found.append(QueueEntry(entry.turn_id, "message", *content))
            elif entry.kind == "ticket":
                waiting_ms = max(0, s.now - (entry.deadline - entry.wait_ms))
                found.append(QueueEntry(entry.turn_id, "caller", 0, waiting_ms, entry.worker, b""))
        return found

    def _open_status(self, turn: StoredTurn) -> Running | Parked | Stopped:
        s = self._s
        if turn.state == "stopped":
            return Stopped(turn.id, s.state.journal()[0], turn.stopped_at)
        if turn.suspended(s.now) is not None:
            return Parked(turn.id, s.state.journal()[:READ_LIMIT])
        left_ms, mode = turn.lease_left(s.now), turn.cancel_mode
        retry_in_ms = max(0, left_ms + turn.delay_ms) if turn.delay_ms else 0
        return Running(
            turn.id, turn.worker, turn.attempt, left_ms, mode, turn.background, retry_in_ms
        )
