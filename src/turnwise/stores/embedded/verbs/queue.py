"""The session's queue: messages, and the tickets of callers that wait."""

from __future__ import annotations

from turnwise.limits import CLAIM_MS
from turnwise.stores.embedded.state import Entry
from turnwise.stores.embedded.verbs.history import write
from turnwise.stores.embedded.verbs.session import READY, Session
from turnwise.types import Duplicate, Record


def queued(s: Session, turn_id: str) -> Entry | None:
    """The message with this turn_id, called off or not."""
    entries = (e for e in s.state.queue if e.turn_id == turn_id and e.kind != "ticket")
    return next(entries, None)


def ticket_of(s: Session, turn_id: str, token: str) -> Entry | None:
    entries = (e for e in s.state.queue if (e.turn_id, e.token) == (turn_id, token))
    return next(entries, None)


def called_off(s: Session, entry: Entry) -> Duplicate:
    """It keeps its place in the queue: no record can be written while a turn is open."""
    payload = entry.note.encode()
    return Duplicate(Record(entry.message.decode(), s.now, 0, "cancelled", payload))


def head(s: Session) -> Entry | None:
    """Who is next on a free session. Whoever stopped waiting, or does not come, is passed over."""
    header, queue = s.header, s.state.queue
    if header.claim_by is not None:
        header.claim_by = min(header.claim_by, s.now + CLAIM_MS)
    while queue:
        first = queue[0]
        if first.kind == "message":
            return first
        if first.kind == "ticket" and _in_line(s, first):
            header.claim_by = header.claim_by or s.now + CLAIM_MS
            return first
        queue.pop(0)
        if first.kind == "called off":
            payload = first.note.encode()
            write(s, first.turn_id, first.message.decode(), "cancelled", payload=payload)
        header.claim_by = s.now + CLAIM_MS
        _wake(s, queue[0] if queue else None)
    header.claim_by = None
    return None


def _in_line(s: Session, ticket: Entry) -> bool:
    claim_by = s.header.claim_by
    waits = min(ticket.deadline - s.now, ticket.wait) > 0
    return waits and (claim_by is None or s.now < claim_by)


def claim_left(s: Session) -> int:
    """How long the head of the queue has the session to itself, in ms."""
    return max(0, (s.header.claim_by or s.now + CLAIM_MS) - s.now)


def hand_over(s: Session) -> None:
    """The session is free: give the head of the queue a moment to claim it."""
    s.header.claim_by = s.now + CLAIM_MS
    _wake(s, head(s))


def tell_line(s: Session) -> None:
    """The open turn is in nobody's hands now: each caller in line may take it up, or is told so."""
    s.told += [(entry.worker, entry.token) for entry in s.state.queue if entry.kind == "ticket"]


def tell_senders(s: Session, turn_id: str) -> None:
    """The turn ends: who sent it again need not stand in line to the end to be told."""
    tickets = [entry for entry in s.state.queue if entry.kind == "ticket"]
    s.told += [(entry.worker, entry.token) for entry in tickets if entry.turn_id == turn_id]


def _wake(s: Session, entry: Entry | None) -> None:
    if entry is not None and entry.kind == "ticket":
        s.wake.append((entry.worker, entry.token))
    elif entry is not None and entry.kind == "message":
        s.wake.append(("", READY))
