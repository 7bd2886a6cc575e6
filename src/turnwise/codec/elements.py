"""The elements of a stored session, distinguished by their first byte.

Items and journal entries come from the codec, with a first byte of FIRST_ITEM_BYTE or above. The
bytes below are the store's own: in a history, a turn's marker and its record; in a queue, the
entries.
"""

from __future__ import annotations

from typing import cast

from turnwise.types import Record, RecordKind

TOMBSTONE = b"\x00"
RECORD = b"\x01"
MARKER = b"\x02"
TICKET = b"\x03"
MESSAGE = b"\x04"
CANCELLED_MESSAGE = b"\x05"
FIRST_ITEM_BYTE = 0x10
_FIRST_ITEM = bytes([FIRST_ITEM_BYTE])


def is_item(element: bytes) -> bool:
    return element[:1] >= _FIRST_ITEM


def marker(turn_id: str) -> bytes:
    return MARKER + turn_id.encode()


def record(commit_id: str, at_ms: int, items: int, kind: RecordKind, payload: bytes) -> bytes:
    return b"%b%b %d %d %b %b" % (RECORD, commit_id.encode(), at_ms, items, kind.encode(), payload)


def parse_record(element: bytes) -> Record:
    commit_id, at_ms, items, kind, payload = element[1:].split(b" ", 4)
    known_kind = cast(RecordKind, kind.decode())
    return Record(commit_id.decode(), int(at_ms), int(items), known_kind, payload)
