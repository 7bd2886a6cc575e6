"""The session's queue: messages, and the tickets of callers that wait."""

from __future__ import annotations

from turnwise.limits import HEAD_TIMEOUT_MS
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.history import write_turn
from turnwise.stores.embedded.verbs.session import READY, Session
from turnwise.types import Duplicate, Record


def find_message(s: Session, turn_id: str) -> Entry | None:
    """The turn's message, which may be a cancelled one."""
    entries = (e for e in s.state.queue if e.turn_id == turn_id and e.kind != "ticket")
    return next(entries, None)


def find_ticket(s: Session, turn_id: str, token: str) -> Entry | None:
    entries = (e for e in s.state.queue if (e.turn_id, e.token) == (turn_id, token))
    return next(entries, None)


def has_message(s: Session) -> bool:
    return any(entry.kind == "message" for entry in s.state.queue)


def cancelled_duplicate(s: Session, entry: Entry) -> Duplicate:
    """The answer for a cancelled message.

    It stays in the queue until it can become a record: none can be written while a turn is open.
    """
    return Duplicate(Record(entry.commit_id, s.now, 0, "cancelled", entry.reason.encode()))


def head(s: Session) -> Entry | None:
    """Who is next on a free session.

    A ticket whose caller stopped waiting, or did not begin in time, is passed over, and the entry
    behind it is woken. A cancelled message becomes a record.
    """
    header, queue, latest = s.header, s.state.queue, s.now + HEAD_TIMEOUT_MS
    if header.head_deadline is not None:
        header.head_deadline = min(header.head_deadline, latest)
    while queue:
        first = queue[0]
        if first.kind == "message":
            return first
        if first.kind == "ticket" and _is_waiting(s, first):
            header.head_deadline = header.head_deadline or latest
            return first
        queue.pop(0)
        if first.kind == "cancelled":
            payload = first.reason.encode()
            write_turn(s, first.turn_id, first.commit_id, "cancelled", payload=payload)
        header.head_deadline = latest
        _wake(s, queue[0] if queue else None)
    header.head_deadline = None
    return None


def _is_waiting(s: Session, ticket: Entry) -> bool:
    """Whether its caller still waits, and can still begin in time."""
    deadline = s.header.head_deadline
    in_time = deadline is None or s.now < deadline
    return in_time and min(ticket.deadline - s.now, ticket.wait_ms) > 0


def head_time_left(s: Session) -> int:
    """How long the session is still reserved for the head of the queue, in ms."""
    return max(0, (s.header.head_deadline or s.now + HEAD_TIMEOUT_MS) - s.now)


def offer_to_head(s: Session) -> None:
    """The session is free: reserve it for the head of the queue for a moment, and wake that."""
    s.header.head_deadline = s.now + HEAD_TIMEOUT_MS
    _wake(s, head(s))


def wake_all(s: Session) -> None:
    """Nobody runs the open turn any more: each caller may take it over, or learns its state."""
    s.to_wake += [(entry.worker, entry.token) for entry in _tickets(s)]


def wake_senders(s: Session, turn_id: str) -> None:
    """The turn ends: callers that wait with the same turn_id are answered at once."""
    s.to_wake += [(e.worker, e.token) for e in _tickets(s) if e.turn_id == turn_id]


def _tickets(s: Session) -> list[Entry]:
    return [entry for entry in s.state.queue if entry.kind == "ticket"]


def _wake(s: Session, entry: Entry | None) -> None:
    if entry is not None and entry.kind == "ticket":
        s.next_up.append((entry.worker, entry.token))
    elif entry is not None and entry.kind == "message":
        s.next_up.append(("", READY))
