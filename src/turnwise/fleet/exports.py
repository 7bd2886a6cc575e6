"""Sessions as lines of JSON, with all that their histories hold: the form that `imports` reads.

    {"type": "session", "format": 1, "session_id", "created_at", "expires_at", "usage", "owner"}
    {"type": "turn", "turn_id", "kind", "at_ms", "commit_id", "added", "attempt", "worker", "usage",
     "result", "items"}                                                           for each turn
    {"type": "end", "session_id", "turns", "items", "error"}

`result` is what the record keeps beside the items, in base64. A session whose end has an error, or
is missing, is not imported.
"""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Any

from turnwise.codec import DecodeError
from turnwise.codec.elements import MARKER, is_item, parse_record
from turnwise.errors import NewerFormat, NotASession, UndecodableItem
from turnwise.turns import Runtime
from turnwise.types import Absent, History, Info

FORMAT = 1
Line = dict[str, Any]


async def export_sessions(runtime: Runtime, session_ids: Iterable[str]) -> AsyncIterator[Line]:
    """See `Session.export`."""
    for session_id in session_ids:
        try:
            info = await runtime.store.info(session_id)
            history = await runtime.store.read(session_id)
        except (NewerFormat, NotASession) as error:
            yield _head(session_id, None)
            yield _end(session_id, 0, 0, str(error))
            continue
        if isinstance(info, Absent) or isinstance(history, Absent):
            yield _head(session_id, None)
            yield _end(session_id, 0, 0, "there is no such session")
            continue
        yield _head(session_id, info)
        turns, items, fault = 0, 0, None
        try:
            for line in _turns(runtime, history):
                turns, items = turns + 1, items + len(line["items"])
                yield line
        except DecodeError as error:
            fault = str(await runtime.reader.located(session_id, error))
        except UndecodableItem as error:
            fault = str(error)
        yield _end(session_id, turns, items, fault)


def _head(session_id: str, info: Info | None) -> Line:
    line: Line = {"type": "session", "format": FORMAT, "session_id": session_id}
    if info is not None:
        left = info.expires_in
        line["created_at"] = info.created_at
        line["expires_at"] = None if left is None else time.time() + left
        line["usage"] = list(info.usage.counts)
        line |= {} if info.owner is None else {"owner": info.owner}
    return line


def _end(session_id: str, turns: int, items: int, error: str | None) -> Line:
    line: Line = {"type": "end", "session_id": session_id, "turns": turns, "items": items}
    return line if error is None else line | {"error": error}


def _turns(runtime: Runtime, history: History) -> Iterator[Line]:
    """Decoded one turn after the other, so that only one is in memory as objects."""
    elements, first = history.elements, 0
    for place, element in enumerate(elements[:-1]):
        if element[:1] == MARKER:
            items = [each for each in elements[first:place] if is_item(each)]
            yield _turn(runtime, element, elements[place + 1], items)
            first = place + 2


def _turn(runtime: Runtime, marker: bytes, stored: bytes, items: Sequence[bytes]) -> Line:
    record = parse_record(stored)
    return {
        "type": "turn",
        "turn_id": marker[1:].decode(),
        "kind": record.kind,
        "at_ms": record.at_ms,
        "commit_id": record.commit_id,
        "added": record.items,
        "attempt": record.attempt,
        "worker": record.worker,
        "usage": list(record.usage.counts),
        "result": b64encode(record.payload).decode(),
        "items": runtime.codec.decode_many(items),
    }
