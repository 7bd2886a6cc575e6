"""A conversation as it is stored: the turns that ended, each with its items."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnwise.codec import DecodeError
from turnwise.codec.elements import MARKER, is_item, parse_record
from turnwise.turns import Runtime, check_count, check_number
from turnwise.types import NO_USAGE, Absent, Base, History, RecordKind, TokenUsage

_ELEMENTS = 16
"""How many elements a turn may have, as a first guess."""


@dataclass(frozen=True, slots=True)
class PastTurn:
    """A turn that ended, or a change between turns.

    Attributes:
        turn_id: Its id.
        kind: "turn" if it was committed; "abandoned", "cancelled" or "dead" if it ended otherwise.
            "append", "pop", "clear" or "replace" for a change between turns.
        ended_at: When it ended, in POSIX seconds.
        items: Those of its items that the history still has.
        attempt, worker: The attempt that ended it, and whose it was; 0 and "" for a change.
        usage: What models consumed in all its attempts. Zeros if it was not committed: unknown.
    """

    turn_id: str
    kind: RecordKind
    ended_at: float
    items: list[dict[str, Any]] = field(repr=False)
    attempt: int = 0
    worker: str = ""
    usage: TokenUsage = NO_USAGE


async def past_turns(runtime: Runtime, session_id: str, limit: int) -> list[PastTurn] | None:
    """See `Session.history`."""
    check_count("limit", limit)
    count = limit * _ELEMENTS
    while True:
        history = await runtime.store.read(session_id, None, count)
        if isinstance(history, Absent):
            return None
        stored = _parted(history)[-limit:]
        if len(stored) == limit or history.start == 0:
            break
        count *= 4
    try:
        return [_decoded(runtime, *turn) for turn in stored]
    except DecodeError as error:
        raise await runtime.reader.located(session_id, error) from None


async def follow(
    runtime: Runtime, session_id: str, last: int, interval: float
) -> AsyncIterator[PastTurn]:
    """See `Session.tail`."""
    check_number("last", last)
    check_number("interval", interval)
    tip: Base | None = None
    newest, seen = -1, set[str]()
    while True:
        history = await runtime.store.read(session_id, tip, None if tip else (last + 1) * _ELEMENTS)
        if isinstance(history, Absent):
            tip = None
        elif history.tip != tip:
            stored = _parted(history)
            if tip is None and newest < 0:
                seen.update(parse_record(record).commit_id for _, _, record in stored)
                new = stored[len(stored) - last :] if last else []
            else:  # after a cut the whole history is read again
                new = [each for each in stored if _is_new(each[2], newest, seen)]
            for turn in new:
                yield await _shown(runtime, session_id, turn)
            times = [parse_record(record).at_ms for _, _, record in stored]
            newest, tip = max([newest, *times]), history.tip
        await asyncio.sleep(interval)


def _is_new(stored: bytes, newest: int, seen: set[str]) -> bool:
    record = parse_record(stored)
    is_new = record.at_ms >= newest and record.commit_id not in seen
    seen.add(record.commit_id)
    return is_new


async def _shown(runtime: Runtime, session_id: str, turn: _Stored) -> PastTurn:
    try:
        return _decoded(runtime, *turn)
    except DecodeError as error:
        raise await runtime.reader.located(session_id, error) from None


_Stored = tuple[Sequence[bytes], bytes, bytes]
"""A turn's items, marker and record."""


def _parted(history: History) -> list[_Stored]:
    """The turns that are in it as a whole."""
    found: list[_Stored] = []
    elements, first = history.elements, 0
    for position, element in enumerate(elements[:-1]):
        if element[:1] == MARKER:
            items = [each for each in elements[first:position] if is_item(each)]
            found.append((items, element, elements[position + 1]))
            first = position + 2
    # What comes before the first turn's items may be missing, if it is no whole answer.
    return found[1:] if history.start and not history.follows else found


def _decoded(runtime: Runtime, items: Sequence[bytes], marker: bytes, stored: bytes) -> PastTurn:
    record = parse_record(stored)
    decoded = runtime.codec.decode_many(items)
    return PastTurn(
        *(marker[1:].decode(), record.kind, record.at_ms / 1000, decoded),
        *(record.attempt, record.worker, record.usage),
    )
