"""From the words of a script to the values of `turnwise.types`."""

from __future__ import annotations

from typing import Any

from turnwise.codec.elements import parse_record
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    CancelMode,
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
    Renewed,
    Running,
    Stale,
)

Reply = list[Any]

CANCEL_MODES: tuple[CancelMode | None, ...] = (None, "drop", "keep")


def history(reply: Reply) -> History | None:
    """None says that the script found it too long for one answer."""
    _, incarnation, position, commit_id, items, start, elements, follows = reply
    if start < 0:
        return None
    tip = Base(position, commit_id.decode())
    return History(incarnation.decode(), tip, items, start, elements, bool(follows))


def grant(reply: Reply) -> Grant:
    _, incarnation, turn_id, attempt, cancelled, position, commit_id, items, *rest = reply
    start, elements, _, journal, message, released, note = rest
    tip = Base(position, commit_id.decode())
    return Grant(
        incarnation.decode(),
        turn_id.decode(),
        attempt,
        tip,
        items,
        None
        if start < 0
        else History(incarnation.decode(), tip, items, start, elements, start > 0),
        journal,
        CANCEL_MODES[cancelled],
        message,
        released,
        note.decode(),
    )


def busy(reply: Reply) -> Busy:
    return Busy(reply[1].decode(), reply[2].decode(), reply[3])


def queued(reply: Reply) -> Queued:
    return Queued(reply[1].decode(), reply[2].decode(), *reply[3:])


def running(reply: Reply) -> Running:
    _, turn_id, worker, attempt, remaining, cancelled, background = reply
    return Running(
        turn_id.decode(),
        worker.decode(),
        attempt,
        remaining,
        CANCEL_MODES[cancelled],
        bool(background),
    )


def waiting(reply: Reply) -> Parked:
    return Parked(reply[1].decode(), *reply[2:])


def duplicate(reply: Reply) -> Duplicate:
    _, record, end, elements = reply
    return Duplicate(parse_record(record) if record else None, elements, end)


def stale(reply: Reply) -> Stale:
    return Stale(reply[1].decode(), moved=len(reply) > 2)


def done(reply: Reply) -> Done:
    return Done(Base(reply[1], reply[2].decode()))


def renewed(reply: Reply) -> Renewed:
    return Renewed(CANCEL_MODES[reply[1]], reply[2].decode())


def accepted(reply: Reply) -> Accepted:
    return Accepted(reply[1])


def full(reply: Reply) -> Full:
    return Full(reply[1])


def cancelled(reply: Reply, turn_id: str) -> Cancelled | Duplicate:
    if reply[0] == b"duplicate":
        return duplicate(reply)
    if reply[0] == b"absent":
        return Cancelled("absent", turn_id)
    worker = reply[1].decode()
    if reply[0] == b"flagged":
        return Cancelled("flagged", turn_id, worker)
    return Cancelled("dropped", turn_id, worker, reply[2])


PLAIN: dict[bytes, Any] = {
    b"absent": lambda _: Absent(),
    b"busy": busy,
    b"duplicate": duplicate,
    b"full": full,
    b"gone": lambda _: Gone(),
    b"granted": grant,
    b"idle": lambda _: Idle(),
    b"late": lambda _: Late(),
    b"queued": queued,
    b"running": running,
    b"stale": stale,
    b"waiting": waiting,
}
"""What each word means; a verb adds what its own `ok` means."""
