"""Reading and writing the history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnwise.codec import weight
from turnwise.codec.elements import RECORD, is_item, marker, parse_record, record, totals
from turnwise.limits import READ_LIMIT
from turnwise.stores.embedded.verbs.session import Session
from turnwise.stores.header import StoredTurn
from turnwise.types import (
    NO_USAGE,
    Base,
    Done,
    Duplicate,
    History,
    Record,
    RecordKind,
    Stale,
    TokenUsage,
)


def tip(s: Session) -> Base:
    return Base(s.header.elements, s.header.commit_id)


def done(s: Session) -> Done:
    return Done(tip(s))


def stale(s: Session) -> Stale:
    return Stale(s.header.incarnation)


def stale_base(s: Session, base: Base) -> Stale | None:
    """The answer if the base is not the last commit."""
    return None if s.header.commit_id == base.commit_id else stale(s)


def valid_position(s: Session, base: Base | None) -> int:
    """The base's position if the record there still has its commit id, else 0."""
    if base is None or not 0 < base.position <= s.header.elements:
        return 0
    element = s.state.history(base.position - 1, base.position)[0]
    valid = element.startswith(RECORD + base.commit_id.encode() + b" ")
    return base.position if valid else 0


def history(s: Session, start: int, *, follows: bool = False) -> History:
    header = s.header
    elements = s.state.history(start, header.elements)
    names = header.incarnation, tip(s)
    return History(*names, header.items, start, elements, follows, header.owner)


def find_turn(s: Session, turn_id: str, most: int | None = None) -> int | None:
    """A turn's marker among what is younger than the retention, or the last `most` elements."""
    first = 0 if most is None else s.header.elements - most
    return s.state.find(marker(turn_id), max(s.header.search_start, first))


def record_of(s: Session, position: int) -> Record:
    """The record of the turn whose marker is at this position."""
    return parse_record(s.state.history(position + 1, position + 2)[0])


def duplicate(s: Session, position: int) -> Duplicate:
    """The answer for a finished turn: its record, and those of its items that are still there."""
    known = record_of(s, position)
    before = s.state.history(max(0, position - min(known.items, READ_LIMIT)), position)
    first = next((i for i in range(len(before), 0, -1) if not is_item(before[i - 1])), 0)
    return Duplicate(known, before[first:], position)


def done_before(s: Session, turn_id: str, commit_id: str) -> Done | None:
    """The answer to a change that took effect before: the history that it left."""
    if s.header.commit_id == commit_id:
        return done(s)
    position = find_turn(s, turn_id)
    if position is None or record_of(s, position).commit_id != commit_id:
        return None
    return Done(Base(position + 2, commit_id))


@dataclass(frozen=True, slots=True)
class Cut:
    """The history without its last items.

    `remaining` is what stays from position `start` on; the rest are the header's values after it.
    """

    start: int
    remaining: list[bytes]
    items: int
    bytes: int
    search_start: int
    next_search_start: int


def plan_cut(s: Session, keep: int) -> Cut | None:
    """What remains when every item after the first `keep` goes: markers younger than the retention.

    None if there is nothing to drop.
    """
    header = s.header
    if keep >= header.items:
        return None
    start = _position_after(s, keep)
    dropped = s.state.history(start, header.elements)
    remaining = [
        (position, element)
        for position, element in enumerate(dropped, start)
        if not is_item(element) and position >= header.search_start
    ]
    elements = [element for _, element in remaining]
    younger = sum(position < header.next_search_start for position, _ in remaining)
    return Cut(
        start=start,
        remaining=elements,
        items=keep,
        bytes=header.bytes - sum(map(weight, dropped)) + sum(map(weight, elements)),
        search_start=min(header.search_start, start),
        next_search_start=min(header.next_search_start, start) + younger,
    )


def _position_after(s: Session, keep: int) -> int:
    """The position of the first item that goes."""
    if keep == 0:
        return 0
    drop, position, page = s.header.items - keep, s.header.elements, 16
    while True:
        first = max(0, position - page)
        for element in reversed(s.state.history(first, position)):
            position -= 1
            drop -= is_item(element)
            if drop == 0:
                return position
        page *= 2


def _apply_cut(s: Session, cut: Cut) -> None:
    header = s.header
    s.state.truncate(cut.start)
    s.state.extend(cut.remaining)
    header.search_start, header.next_search_start = cut.search_start, cut.next_search_start
    header.items, header.bytes = cut.items, cut.bytes
    header.elements = cut.start + len(cut.remaining)


def _roll_search_start(s: Session) -> None:
    header = s.header
    header.retention_ms = retention_ms = s.retention_ms
    header.search_rolled = min(header.search_rolled, s.now)
    age_ms = s.now - header.search_rolled
    if age_ms <= retention_ms:
        return
    end = header.elements
    header.search_start = end if age_ms > 2 * retention_ms else header.next_search_start
    header.next_search_start, header.search_rolled = end, s.now


def write_turn(
    s: Session,
    turn_id: str,
    commit_id: str,
    kind: RecordKind,
    items: Sequence[bytes] = (),
    *,
    payload: bytes = b"",
    cut: Cut | None = None,
    turn: StoredTurn | None = None,
    usage: TokenUsage | None = None,
) -> None:
    """One turn becomes history: its items, its marker, its record. `turn` is the one that ran."""
    s.save()
    if cut is not None:
        _apply_cut(s, cut)
    _roll_search_start(s)
    header = s.header
    known = Record(commit_id, s.now, len(items), kind, payload)
    if turn is not None:
        spent = usage or NO_USAGE
        known = replace(known, attempt=turn.attempt, worker=turn.worker, usage=spent)
    elements = [*items, marker(turn_id), record(known)]
    s.state.extend(elements)
    header.elements += len(elements)
    header.items += len(items)
    header.bytes += sum(map(weight, elements))
    header.commits += 1
    header.commit_id, header.updated = commit_id, s.now
    header.usage = list((TokenUsage(*header.usage) + known.usage).counts)


def append_turns(s: Session, elements: Sequence[bytes], last_commit_id: str) -> None:
    """Whole turns become history as they are."""
    s.save()
    _roll_search_start(s)
    header = s.header
    s.state.extend(list(elements))
    header.elements += len(elements)
    size, items, commits = totals(elements)
    header.bytes += size
    header.items += items
    header.commits += commits
    header.commit_id, header.updated = last_commit_id, s.now


def too_large(s: Session, items: Sequence[bytes], cut: Cut | None = None) -> bool:
    """Whether these items would make the history larger than it may be."""
    size = (s.header.bytes if cut is None else cut.bytes) + sum(map(weight, items))
    return size > max(s.limits.max_bytes, s.header.bytes)
