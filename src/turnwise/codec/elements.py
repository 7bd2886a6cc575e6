"""The elements that a store adds to a history: markers, and records that say how a turn ended."""

from __future__ import annotations

from typing import cast

from turnwise.types import Record, RecordKind

FIRST_ITEM_BYTE = 0x10
RECORD, MARKER, TICKET, MESSAGE, CALLED_OFF = b"\x01", b"\x02", b"\x03", b"\x04", b"\x05"
_FIRST_ITEM = bytes([FIRST_ITEM_BYTE])


def is_item(element: bytes) -> bool:
    return element[:1] >= _FIRST_ITEM


def marker(turn_id: str) -> bytes:
    return MARKER + turn_id.encode()


def record(commit_id: str, at: int, items: int, kind: RecordKind, payload: bytes) -> bytes:
    return b"%b%b %d %d %b %b" % (RECORD, commit_id.encode(), at, items, kind.encode(), payload)


def parse_record(element: bytes) -> Record:
    commit_id, at, items, kind, payload = element[1:].split(b" ", 4)
    return Record(commit_id.decode(), int(at), int(items), cast(RecordKind, kind.decode()), payload)
