"""A conversation as it is stored: the turns that ended, each with its items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from turnwise.codec import DecodeError
from turnwise.codec.elements import MARKER, is_item, parse_record
from turnwise.turns import Runtime, check_number
from turnwise.types import NO_USAGE, Absent, History, RecordKind, TokenUsage

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
    check_number("limit", limit, least=1)
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
    # What comes before the first turn's items may be missing.
    return found[1:] if history.start else found


def _decoded(runtime: Runtime, items: Sequence[bytes], marker: bytes, stored: bytes) -> PastTurn:
    record = parse_record(stored)
    decoded = runtime.codec.decode_many(items)
    return PastTurn(
        *(marker[1:].decode(), record.kind, record.at_ms / 1000, decoded),
        *(record.attempt, record.worker, record.usage),
    )
