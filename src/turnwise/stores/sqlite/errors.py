"""SQLite's errors as those of `turnwise.errors`.

Whatever the error, the transaction took effect wholly or not at all, so every verb can be sent
again.
"""

from __future__ import annotations

import sqlite3

from turnwise.errors import NotASession, StoreError, StoreRefused, StoreUnavailable
from turnwise.stores.sqlite.files import advice

_REFUSED = {
    sqlite3.SQLITE_FULL: "the disk is full: make room",
    sqlite3.SQLITE_PERM: "this user has no permission: check the file's owner and mode",
    sqlite3.SQLITE_AUTH: "this user has no permission: check the file's owner and mode",
    sqlite3.SQLITE_READONLY: (
        "it is read-only: check the mode of the file and its directory, and that the disk is "
        "mounted for writing"
    ),
    sqlite3.SQLITE_CORRUPT: (
        "the file is damaged: stop all workers, and restore it from a backup or rescue what is "
        "left with the sqlite3 tool's .recover"
    ),
    sqlite3.SQLITE_TOOBIG: "an element is larger than SQLite allows: lower max_item_bytes",
}
_MOVED = sqlite3.SQLITE_READONLY_DBMOVED
_LOCKED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_lock(error: sqlite3.Error) -> bool:
    """Whether another connection had the file locked: a retry may succeed."""
    return _code(error) in _LOCKED


def needs_new_connection(error: sqlite3.Error) -> bool:
    """Whether the connection may be at fault."""
    return _code(error) not in (*_LOCKED, sqlite3.SQLITE_FULL)


def refusal(error: sqlite3.Error, path: str, session_id: str | None, patience: float) -> StoreError:
    """Our error for SQLite's. `patience` is how many seconds the call waited for a lock."""
    code = _code(error)
    if code in _LOCKED:
        return StoreUnavailable(
            f"{path} stayed locked by another process for {patience:g} s; nothing was written. "
            "The call can be sent again",
            session_id=session_id,
        )
    if code == sqlite3.SQLITE_NOTADB:
        return NotASession(
            f"{path} is not a SQLite database; it was left as it is. Choose another path",
            session_id=session_id,
        )
    if code == sqlite3.SQLITE_CANTOPEN:
        return StoreRefused(f"{path} cannot be opened: {advice(path)}", session_id=session_id)
    if code in _REFUSED and getattr(error, "sqlite_errorcode", 0) != _MOVED:
        return StoreRefused(f"{path}: {_REFUSED[code]} ({error})", session_id=session_id)
    return StoreUnavailable(
        f"{path} did not take the call ({type(error).__name__}: {error}); it can be sent again",
        session_id=session_id,
    )


def _code(error: sqlite3.Error) -> int:
    """The primary result code: an extended one keeps it in its low byte."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
