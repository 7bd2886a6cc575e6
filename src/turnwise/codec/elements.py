"""The elements of a stored session, distinguished by their first byte.

Items and journal entries come from the codec, with a first byte of FIRST_ITEM_BYTE or above. The
bytes below are the store's own: in a history, a turn's marker and its record; in a queue, the
entries.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import cast
from urllib.parse import unquote

from turnwise.codec.zstd import weight
from turnwise.types import NO_USAGE, Record, RecordKind, TokenUsage

TOMBSTONE = b"\x00"
RECORD = b"\x01"
MARKER = b"\x02"
TICKET = b"\x03"
MESSAGE = b"\x04"
CANCELLED_MESSAGE = b"\x05"
FIRST_ITEM_BYTE = 0x10
_FIRST_ITEM = bytes([FIRST_ITEM_BYTE])
_NOT_PLAIN = re.compile(r"[\x00-\x20\x7f%]")


def is_item(element: bytes) -> bool:
    return element[:1] >= _FIRST_ITEM


def totals(elements: Sequence[bytes]) -> tuple[int, int, int]:
    """What elements add to a history: bytes by their `weight`, items, commits."""
    commits = sum(element[:1] == RECORD for element in elements)
    return sum(map(weight, elements)), sum(map(is_item, elements)), commits


def marker(turn_id: str) -> bytes:
    return MARKER + turn_id.encode()


def record(record: Record) -> bytes:
    """The stored form: fields with spaces between them, the payload last."""
    worker = _NOT_PLAIN.sub(lambda found: f"%{ord(found[0]):02X}", record.worker)
    fields = (
        *(record.commit_id, record.at_ms, record.items, record.kind),
        *(record.attempt, usage_text(record.usage), worker),
    )
    return RECORD + " ".join(map(str, fields)).encode() + b" " + record.payload


def parse_record(element: bytes) -> Record:
    *fields, payload = element[1:].split(b" ", 7)
    commit_id, at_ms, items, kind, attempt, usage, worker = (field.decode() for field in fields)
    known_kind = cast(RecordKind, kind)
    return Record(
        *(commit_id, int(at_ms), int(items), known_kind, payload),
        *(int(attempt), unquote(worker), parse_usage(usage)),
    )


def usage_text(usage: TokenUsage | None) -> str:
    """The counts with commas between them; "" if all are 0."""
    return "" if usage is None else ",".join(map(str, usage.counts))


def parse_usage(text: str) -> TokenUsage:
    return TokenUsage(*map(int, text.split(","))) if text else NO_USAGE
