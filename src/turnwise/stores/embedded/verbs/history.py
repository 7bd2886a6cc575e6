"""Reading and writing the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from turnwise.codec.elements import is_item, marker, parse_record, record
from turnwise.limits import READ
from turnwise.stores.embedded.verbs.session import Session
from turnwise.types import Base, Done, Duplicate, History, Record, RecordKind, Stale


def tip(s: Session) -> Base:
    return Base(s.header.elements, s.header.commit_id)


def done(s: Session) -> Done:
    return Done(tip(s))


def stale(s: Session) -> Stale:
    return Stale(s.header.incarnation)


def moved(s: Session, base: Base) -> Stale | None:
    return None if s.header.commit_id == base.commit_id else stale(s)


def valid(s: Session, base: Base | None) -> int:
    """The base's position if the record there still carries its commit id, else 0."""
    if base is None or not 0 < base.position <= s.header.elements:
        return 0
    element = s.state.history(base.position - 1, base.position)[0]
    right = not is_item(element) and element.startswith(b"\x01%b " % base.commit_id.encode())
    return base.position if right else 0


def history(s: Session, start: int, *, follows: bool = False) -> History:
    header = s.header
    elements = s.state.history(start, header.elements)
    return History(header.incarnation, tip(s), header.items, start, elements, follows)


def find(s: Session, turn_id: str, most: int | None = None) -> int | None:
    """A turn's marker among what is younger than the retention, or the last `most` elements."""
    first = 0 if most is None else s.header.elements - most
    return s.state.find(marker(turn_id), max(s.header.marks[0], first))


def record_at(s: Session, position: int) -> Record:
    """The record of the turn whose marker is at `position`."""
    return parse_record(s.state.history(position + 1, position + 2)[0])


def duplicate(s: Session, position: int) -> Duplicate:
    ending = record_at(s, position)
    chunk = s.state.history(max(0, position - min(ending.items, READ)), position)
    first = next((i for i in range(len(chunk), 0, -1) if not is_item(chunk[i - 1])), 0)
    return Duplicate(ending, chunk[first:], position)


def repeated(s: Session, turn_id: str, commit_id: str) -> Done | None:
    """The answer to a change that took effect before: the history it left, as far as it stands."""
    if s.header.commit_id == commit_id:
        return done(s)
    position = find(s, turn_id)
    if position is None or record_at(s, position).commit_id != commit_id:
        return None
    return Done(Base(position + 2, commit_id))


@dataclass(frozen=True, slots=True)
class Cut:
    """The history without its last items: `stays` is what remains from position `first` on."""

    first: int
    items: int
    stays: list[bytes]
    bytes: int
    marks: tuple[int, int]


def cutting(s: Session, keep: int) -> Cut | None:
    """What stays when every item after the first `keep` goes: markers younger than the retention.

    None when there is nothing to drop.
    """
    header = s.header
    if keep >= header.items:
        return None
    first = _position_after(s, keep)
    dropped = s.state.history(first, header.elements)
    search_from, second = header.marks
    stays = [
        (position, element)
        for position, element in enumerate(dropped, first)
        if not is_item(element) and position >= search_from
    ]
    elements = [element for _, element in stays]
    younger = sum(position < second for position, _ in stays)
    size = header.bytes - sum(map(len, dropped)) + sum(map(len, elements))
    marks = min(search_from, first), min(second, first) + younger
    return Cut(first, keep, elements, size, marks)


def _position_after(s: Session, keep: int) -> int:
    """Where the first item that is to go stands."""
    if keep == 0:
        return 0
    drop, position, size = s.header.items - keep, s.header.elements, 16
    while True:
        first = max(0, position - size)
        for element in reversed(s.state.history(first, position)):
            position -= 1
            drop -= is_item(element)
            if drop == 0:
                return position
        size *= 2


def _cut(s: Session, plan: Cut) -> None:
    header = s.header
    s.state.truncate(plan.first)
    s.state.extend(plan.stays)
    header.marks, header.items, header.bytes = plan.marks, plan.items, plan.bytes
    header.elements = plan.first + len(plan.stays)


def _roll_marks(s: Session) -> None:
    header, retention = s.header, s.limits.retention
    header.marked = min(header.marked, s.now)
    age = s.now - header.marked
    if age <= retention:
        return
    end = header.elements
    header.marks = (end if age > 2 * retention else header.marks[1], end)
    header.marked = s.now


def write(
    s: Session,
    turn_id: str,
    commit_id: str,
    kind: RecordKind,
    items: Sequence[bytes] = (),
    *,
    payload: bytes = b"",
    plan: Cut | None = None,
) -> None:
    """One turn becomes history: its items, its marker, its record."""
    s.keep()
    if plan is not None:
        _cut(s, plan)
    _roll_marks(s)
    header = s.header
    ending = record(commit_id, s.now, len(items), kind, payload)
    elements = [*items, marker(turn_id), ending]
    s.state.extend(elements)
    header.elements += len(elements)
    header.items += len(items)
    header.bytes += sum(map(len, elements))
    header.commits += 1
    header.commit_id, header.updated = commit_id, s.now


def too_large(s: Session, items: Sequence[bytes], plan: Cut | None = None) -> bool:
    """Whether these items make the history outgrow its bound."""
    size = (s.header.bytes if plan is None else plan.bytes) + sum(map(len, items))
    return size > max(s.limits.max_bytes, s.header.bytes)
