"""From a script's reply to the value of `turnwise.types` that its first word names."""

from __future__ import annotations

from typing import Any

from turnwise.codec.elements import parse_record
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Late,
    Parked,
    Queued,
    QueueEntry,
    Renewed,
    Running,
    Stale,
    Stopped,
    Suspect,
    Taken,
)

Reply = list[Any]


def answer(reply: Reply) -> Any:
    """The answer of any verb whose replies need nothing but themselves."""
    return _BY_WORD[reply[0]](reply)


def history(reply: Reply) -> History | None:
    """None if it is too long for one reply."""
    _, incarnation, position, commit_id, items, start, elements, follows, owner = reply
    if start < 0:
        return None
    tip = Base(position, commit_id.decode())
    names = incarnation.decode(), tip
    return History(*names, items, start, elements, bool(follows), _owner(owner))


def queue_entry(entry: Any) -> QueueEntry:
    turn_id, kind, attempts, waiting_ms, worker, content = entry
    return QueueEntry(
        turn_id.decode(),
        "message" if kind == b"message" else "caller",
        attempts,
        waiting_ms,
        worker.decode(),
        content,
    )


def _grant(reply: Reply) -> Grant:
    _, incarnation, turn_id, attempt, cancel_mode, position, commit_id, items, *rest = reply
    start, elements, _, journal, message, released, cancel_reason, failed, died_alone, *rest = rest
    size, limit, owner = rest
    tip, incarnation = Base(position, commit_id.decode()), incarnation.decode()
    new = History(incarnation, tip, items, start, elements, start > 0, _owner(owner))
    return Grant(
        incarnation,
        turn_id.decode(),
        attempt,
        tip,
        items,
        new if start >= 0 else None,
        journal,
        cancel_mode.decode() or None,
        message,
        released,
        failed,
        bool(died_alone),
        cancel_reason.decode(),
        size,
        limit,
        _owner(owner),
    )


def _owner(raw: bytes) -> str | None:
    return raw.decode() or None


def _busy(reply: Reply) -> Busy:
    return Busy(reply[1].decode(), reply[2].decode(), reply[3])


def _queued(reply: Reply) -> Queued:
    return Queued(reply[1].decode(), reply[2].decode(), *reply[3:])


def _running(reply: Reply) -> Running:
    _, turn_id, worker, attempt, remaining_ms, cancel_mode, background, retry_in_ms = reply
    return Running(
        turn_id.decode(),
        worker.decode(),
        attempt,
        remaining_ms,
        cancel_mode.decode() or None,
        bool(background),
        retry_in_ms,
    )


def _parked(reply: Reply) -> Parked:
    return Parked(reply[1].decode(), *reply[2:])


def _duplicate(reply: Reply) -> Duplicate:
    _, record, end, elements = reply
    return Duplicate(parse_record(record) if record else None, elements, end)


def _stale(reply: Reply) -> Stale:
    return Stale(reply[1].decode(), history_changed=len(reply) > 2)


def _done(reply: Reply) -> Done:
    return Done(Base(reply[1], reply[2].decode()))


def _renewed(reply: Reply) -> Renewed:
    return Renewed(reply[1].decode() or None, reply[2].decode())


def cancelled(reply: Reply, turn_id: str) -> Cancelled | Duplicate:
    if reply[0] == b"duplicate":
        return _duplicate(reply)
    if reply[0] == b"absent":
        return Cancelled("absent", turn_id)
    worker = reply[1].decode()
    if reply[0] == b"flagged":
        return Cancelled("flagged", turn_id, worker)
    return Cancelled("dropped", turn_id, worker, reply[2])


_BY_WORD: dict[bytes, Any] = {
    b"absent": lambda _: Absent(),
    b"accepted": lambda reply: Accepted(reply[1]),
    b"busy": _busy,
    b"done": _done,
    b"duplicate": _duplicate,
    b"full": lambda reply: Full(reply[1]),
    b"gone": lambda _: Gone(),
    b"granted": _grant,
    b"idle": lambda _: Idle(),
    b"late": lambda _: Late(),
    b"parked": _parked,
    b"queued": _queued,
    b"renewed": _renewed,
    b"running": _running,
    b"stale": _stale,
    b"stopped": lambda reply: Stopped(reply[1].decode(), *reply[2:]),
    b"suspect": lambda reply: Suspect(reply[1].decode(), reply[2]),
    b"taken": lambda _: Taken(),
}
