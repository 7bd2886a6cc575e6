"""One session in one transaction: a verb loads only what it asks for, and writes what changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from turnwise.errors import NewerFormat, NotASession
from turnwise.stores.embedded.state import VERSION, Entry, Header
from turnwise.stores.sqlite.queries import query

_encode = msgspec.msgpack.Encoder().encode
_header = msgspec.msgpack.Decoder(Header)
_entry = msgspec.msgpack.Decoder(Entry)
_NEVER = 2**62

Arguments = Sequence[Any] | Mapping[str, Any]


class SQLiteState:
    """`turnwise.stores.embedded.state.State` on an open transaction, which the caller ends.

    A session that has expired by `now` (ms) counts as absent.
    """

    def __init__(self, database: sqlite3.Connection, session_id: str, now: int) -> None:
        self._database = database
        self._session_id = session_id
        self.header: Header | None = None
        self._stored = b""
        self._row: int | None = None
        self._length = 0
        self._queued = 0
        self._queue: list[Entry] | None = None
        self._places: list[tuple[int, bytes, Entry]] = []
        self._journal: list[bytes] | None = []
        self._expired: int | None = None
        self._now = now
        self._load(now)

    def _load(self, now: int) -> None:
        found = self._one("load_session", {"session_id": self._session_id})
        if found is None:
            return
        row, stored, queued = found
        header = _parsed(stored, self._session_id)
        if header.expires is not None and header.expires <= now:
            self._expired = row
            return
        self.header, self._stored, self._row, self._queued = header, stored, row, queued
        self._length = header.elements
        if header.turn is not None:
            self._journal = None

    def history(self, first: int, last: int) -> list[bytes]:
        if first >= last:
            return []
        place = {"session": self._row, "first": first, "last": last}
        return [element for (element,) in self._all("load_history", place)]

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
        place = {"session": self._row, "marker": marker, "first": first}
        found = self._one("find_marker", place)
        return None if found is None else found[0]

    def journal(self) -> list[bytes]:
        return list(self._loaded_journal())

    def extend_journal(self, entries: list[bytes]) -> None:
        journal = self._loaded_journal()
        rows = self._numbered(entries, len(journal))
        self._database.executemany(query("extend_journal"), rows)
        journal += entries

    def trim_journal(self) -> None:
        if self._journal is None or self._journal:
            self._run("trim_journal", {"session": self._row})
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
                self._places = [(place, raw, _entry.decode(raw)) for place, raw in rows]
            self._queue = [entry for _, _, entry in self._places]
        return self._queue

    def save(self) -> None:
        """Write what the verb changed, or delete what it ended."""
        if self._expired is not None:
            delete(self._database, self._expired)
        if self.header is None:
            if self._row is not None:
                delete(self._database, self._row)
            return
        changed = self._save_queue()
        header = _encode(self.header)
        if header == self._stored and not changed:
            return
        place = {"session": self._own_row(), "header": header, "queued": self._queued}
        self._run("save_session", {**place, "expires": self.header.expires})
        if self._queued or changed:
            self._save_ready()

    def _save_ready(self) -> None:
        """Tell background workers from when on they may take a message."""
        row, due = self._own_row(), self._due()
        if self._queue is None:
            self._run("move_ready", (due, 0 if due <= self._now else due, row))
        elif any(entry.kind == "message" for entry in self._queue):
            self._run("mark_ready", (row, due, self._now))
        else:
            self._run("unmark_ready", (row,))

    def free(self, worker: str) -> None:
        """A background worker's claim ends."""
        if self._row is not None:
            self._run("free_claim", (self._due(), self._row, worker))

    def _due(self) -> int:
        turn = self.header.turn if self.header else None
        if turn is None:
            return self._now
        waits = turn.state == "waiting" or turn.parked > 0  # it does so again if its worker dies
        return _NEVER if waits else turn.kept_until

    def _save_queue(self) -> bool:
        """Whether entries came, changed or left. New ones are always last, so places only grow."""
        if self._queue is None:
            return False
        known = {id(entry): (place, raw) for place, raw, entry in self._places}
        next_place = self._places[-1][0] + 1 if self._places else 0
        changed, kept = False, set()
        for entry in self._queue:
            place, before = known.get(id(entry), (next_place, b""))
            next_place = max(next_place, place + 1)
            kept.add(place)
            if (raw := _encode(entry)) != before:
                self._database.execute(query("save_entry"), (self._own_row(), place, raw))
                changed = True
        for place in [place for place, _, _ in self._places if place not in kept]:
            self._database.execute(query("delete_entry"), (self._row, place))
            changed = True
        self._queued = len(self._queue)
        return changed

    def _numbered(self, values: list[bytes], first: int) -> list[tuple[int, int, bytes]]:
        row = self._own_row()
        return [(row, position, value) for position, value in enumerate(values, first)]

    def _own_row(self) -> int:
        if self._row is None:
            if self._expired is not None:  # its id is about to be used again
                delete(self._database, self._expired)
                self._expired = None
            self._row = self._run("add_session", {"session_id": self._session_id}).lastrowid
        assert self._row is not None
        return self._row

    def _run(self, name: str, arguments: Arguments) -> sqlite3.Cursor:
        return self._database.execute(query(name), arguments)

    def _one(self, name: str, arguments: Arguments) -> Any:
        return self._run(name, arguments).fetchone()

    def _all(self, name: str, arguments: Arguments) -> list[Any]:
        return self._run(name, arguments).fetchall()


def delete(database: sqlite3.Connection, row: int) -> None:
    """Remove a session with everything in it."""
    place = {"session": row, "length": 0}
    for name in ("truncate_history", "trim_journal", "empty_queue", "delete_session"):
        database.execute(query(name), place)
    database.execute(query("unmark_ready"), (row,))


def _parsed(stored: bytes, session_id: str) -> Header:
    try:
        header = _header.decode(stored)
    except msgspec.MsgspecError:
        raise _unreadable(stored, session_id) from None
    if header.version > VERSION:
        raise _newer(header.version, session_id)
    return header


def _unreadable(stored: bytes, session_id: str) -> NotASession | NewerFormat:
    """A newer header may have another shape altogether; its version is still called so."""
    try:
        version = msgspec.msgpack.decode(stored)["version"]
    except (msgspec.MsgspecError, KeyError, TypeError):
        version = 0
    if isinstance(version, int) and version > VERSION:
        return _newer(version, session_id)
    return NotASession(
        "its stored header cannot be read; it was left as it is. Delete the session, or restore "
        "the file from a backup",
        session_id=session_id,
    )


def _newer(version: int, session_id: str) -> NewerFormat:
    return NewerFormat(
        f"it was written in format {version} by a newer version of Turnwise; it was left as it "
        "is. Upgrade this worker",
        session_id=session_id,
    )
