"""One session in one transaction: a verb loads only what it asks for, and writes what changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores.embedded.state import EmbeddedHeader, Entry
from turnwise.stores.header import parse, unreadable
from turnwise.stores.sqlite.queries import query
from turnwise.types import SessionSummary

_encode_header = msgspec.json.Encoder().encode
_header_decoder = msgspec.json.Decoder(EmbeddedHeader)
_encode_entry = msgspec.msgpack.Encoder().encode
_decode_entry = msgspec.msgpack.Decoder(Entry).decode
_NEVER = 2**62

Arguments = Sequence[Any] | Mapping[str, Any]


def summary(session_id: str, stored: bytes, queued: int, now: int) -> SessionSummary:
    """What a listing shows of a row."""
    try:
        return _parse(stored, session_id).summary(session_id, now, queued=queued)
    except (NewerFormat, NotASession) as error:
        return unreadable(session_id, error)


def _parse(stored: bytes, session_id: str) -> EmbeddedHeader:
    def damaged() -> NotASession:
        return NotASession(
            "its stored header cannot be read; it was left as it is. Delete the session, or "
            "restore the file from a backup",
            session_id=session_id,
        )

    return parse(stored, _header_decoder, session_id, damaged)


class SQLiteState:
    """`turnwise.stores.embedded.state.State` on an open transaction, which the caller ends.

    A session that has expired by `now` (ms) counts as absent.
    """

    def __init__(self, database: sqlite3.Connection, session_id: str, now: int) -> None:
        self._database = database
        self._session_id = session_id
        self._now = now
        self.header: EmbeddedHeader | None = None
        self._stored_header = b""
        self._row: int | None = None
        self._expired_row: int | None = None
        self._length = 0
        self._queued = 0
        self._queue: list[Entry] | None = None
        self._stored_queue: list[tuple[int, bytes, Entry]] = []
        self._journal: list[bytes] | None = []
        self._load()

    def _load(self) -> None:
        found = self._one("load_session", {"session_id": self._session_id})
        if found is None:
            return
        row, stored, queued = found
        header = _parse(stored, self._session_id)
        if header.expires is not None and header.expires <= self._now:
            self._expired_row = row
            return
        self.header, self._stored_header, self._row, self._queued = header, stored, row, queued
        self._length = header.elements
        if header.turn is not None:
            self._journal = None

    def history(self, first: int, last: int) -> list[bytes]:
        if first >= last:
            return []
        arguments = {"session": self._row, "first": first, "last": last}
        return [element for (element,) in self._all("load_history", arguments)]

    def extend(self, elements: list[bytes]) -> None:
        rows = self._numbered(elements, self._length)
        self._database.executemany(query("extend_history"), rows)
        self._length += len(elements)

    def truncate(self, length: int) -> None:
        self._run("truncate_history", {"session": self._row, "length": length})
        self._length = length

    def find(self, marker: bytes, first: int) -> int | None:
        if self._row is None:
            return None
        arguments = {"session": self._row, "marker": marker, "first": first}
        found = self._one("find_marker", arguments)
        return None if found is None else found[0]

    def journal(self) -> list[bytes]:
        return list(self._loaded_journal())

    def extend_journal(self, entries: list[bytes]) -> None:
        journal = self._loaded_journal()
        rows = self._numbered(entries, len(journal))
        self._database.executemany(query("extend_journal"), rows)
        journal += entries

    def clear_journal(self) -> None:
        if self._journal is None or self._journal:
            self._run("clear_journal", {"session": self._row})
        self._journal = []

    def _loaded_journal(self) -> list[bytes]:
        if self._journal is None:
            rows = self._all("load_journal", {"session": self._row})
            self._journal = [entry for (entry,) in rows]
        return self._journal

    @property
    def queue(self) -> list[Entry]:
        """Oldest first; loaded when first asked for."""
        if self._queue is None:
            if self._queued:
                rows = self._all("load_queue", {"session": self._row})
                self._stored_queue = [(number, raw, _decode_entry(raw)) for number, raw in rows]
            self._queue = [entry for _, _, entry in self._stored_queue]
        return self._queue

    def save(self) -> None:
        """Write what the verb changed, or delete what it ended."""
        if self._expired_row is not None:
            delete(self._database, self._expired_row)
        if self.header is None:
            if self._row is not None:
                delete(self._database, self._row)
            return
        queue_changed = self._save_queue()
        header = _encode_header(self.header)
        if header == self._stored_header and not queue_changed:
            return
        values = {"session": self._own_row(), "header": header, "queued": self._queued}
        self._run("save_session", {**values, "expires": self.header.expires})
        if self._queued or queue_changed:
            self._save_ready()

    def _save_ready(self) -> None:
        """Note from when on a background worker may claim the session."""
        row, due = self._own_row(), self._due()
        if self._queue is None:
            self._run("move_ready", (due, 0 if due <= self._now else due, row))
        elif any(entry.kind == "message" for entry in self._queue):
            self._run("mark_ready", (row, due, self._now))
        else:
            self._run("unmark_ready", (row,))

    def free_claim(self, worker: str) -> None:
        """End a background worker's claim."""
        if self._row is not None:
            self._run("free_claim", (self._due(), self._row, worker))

    def end_claim(self) -> None:
        """End the claim on it, whoever has it."""
        if self._row is not None:
            self._run("end_claim", (self._due(), self._row))

    def _due(self) -> int:
        turn = self.header.turn if self.header else None
        if turn is None:
            return self._now
        return turn.next_attempt_at if turn.is_for_workers else _NEVER

    def _save_queue(self) -> bool:
        """Whether entries came, changed or left. New ones come last, so numbers only grow."""
        if self._queue is None:
            return False
        stored = {id(entry): (number, raw) for number, raw, entry in self._stored_queue}
        next_number = self._stored_queue[-1][0] + 1 if self._stored_queue else 0
        changed, kept = False, set()
        for entry in self._queue:
            number, before = stored.get(id(entry), (next_number, b""))
            next_number = max(next_number, number + 1)
            kept.add(number)
            if (raw := _encode_entry(entry)) != before:
                self._database.execute(query("save_entry"), (self._own_row(), number, raw))
                changed = True
        for number in [number for number, _, _ in self._stored_queue if number not in kept]:
            self._database.execute(query("delete_entry"), (self._row, number))
            changed = True
        self._queued = len(self._queue)
        return changed

    def _numbered(self, values: list[bytes], first: int) -> list[tuple[int, int, bytes]]:
        row = self._own_row()
        return [(row, position, value) for position, value in enumerate(values, first)]

    def _own_row(self) -> int:
        if self._row is None:
            if self._expired_row is not None:  # its id is about to be used again
                delete(self._database, self._expired_row)
                self._expired_row = None
            self._row = self._run("add_session", self._names()).lastrowid
        assert self._row is not None
        return self._row

    def _names(self) -> Arguments:
        assert self.header is not None, "it is saved before its elements"
        return {"session_id": self._session_id, "owner": self.header.owner}

    def _run(self, name: str, arguments: Arguments) -> sqlite3.Cursor:
        return self._database.execute(query(name), arguments)

    def _one(self, name: str, arguments: Arguments) -> Any:
        return self._run(name, arguments).fetchone()

    def _all(self, name: str, arguments: Arguments) -> list[Any]:
        return self._run(name, arguments).fetchall()


def delete(database: sqlite3.Connection, row: int) -> None:
    """Remove a session with everything in it."""
    arguments = {"session": row, "length": 0}
    for name in ("truncate_history", "clear_journal", "clear_queue", "delete_session"):
        database.execute(query(name), arguments)
    database.execute(query("unmark_ready"), (row,))
