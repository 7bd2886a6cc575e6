"""Opens a connection: checks whose file it is, and sets it up."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from turnwise.errors import NewerFormat, NotASession, StoreRefused
from turnwise.stores.header import SDK_SESSIONS
from turnwise.stores.sqlite.files import refuse_network
from turnwise.stores.sqlite.queries import schema

APPLICATION = 0x5475726E  # "Turn"
SCHEMA = 1
_Version = tuple[int, ...]
_STATEMENTS = 64


def open_database(path: str) -> sqlite3.Connection:
    """A connection to the file, which is created if absent. It never waits for a lock by itself.

    Raises NotASession or NewerFormat for a file that is not ours, StoreRefused for a file system or
    journal mode in which the data would not be safe, and whatever SQLite raises.
    """
    refuse_network(path)
    database = sqlite3.connect(
        path,
        timeout=0,
        isolation_level=None,
        cached_statements=_STATEMENTS,
        check_same_thread=False,  # a fork closes it, when its thread does nothing
    )
    try:
        _set_up(database, path)
    except BaseException:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection, *, writes: bool) -> Iterator[None]:
    """A transaction. A writer takes its lock at the start, so what it has read cannot change."""
    database.execute("BEGIN IMMEDIATE" if writes else "BEGIN")
    try:
        yield
        database.execute("COMMIT")
    except BaseException:
        if database.in_transaction:
            database.execute("ROLLBACK")
        raise


def wal_is_safe(version: _Version) -> bool:
    """Whether this SQLite lacks the WAL-reset bug, which damages a file used by two connections.

    3.7.0 to 3.51.2 have it, except 3.44.6 and 3.50.7 with their fixes.
    """
    fixed_in = ((3, 44, 6), (3, 50, 7))
    return version >= (3, 51, 3) or any(
        version[:2] == fixed[:2] and version >= fixed for fixed in fixed_in
    )


def _set_up(database: sqlite3.Connection, path: str) -> None:
    database.execute("PRAGMA trusted_schema = OFF")
    with transaction(database, writes=False):
        version = _schema_of(database, path)
    _choose_journal(database, path, is_new=version == 0)
    database.execute("PRAGMA synchronous = FULL")
    if version < SCHEMA:
        with transaction(database, writes=True):
            _upgrade(database, _schema_of(database, path))  # another process may have done it


def _schema_of(database: sqlite3.Connection, path: str) -> int:
    """The schema version; 0 for an empty file. Raises if the file is not ours, or newer."""
    application, version = _number(database, "application_id"), _number(database, "user_version")
    (tables,) = database.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (application, version, tables) == (0, 0, 0):
        return 0
    if application != APPLICATION:
        raise NotASession(
            f"{path} is another application's database; it was left as it is. Choose another path. "
            f"{SDK_SESSIONS}"
        )
    if version > SCHEMA:
        raise NewerFormat(
            f"{path} has schema {version}, made by a newer version of Turnwise (this one knows "
            f"{SCHEMA}); it was left as it is. Upgrade this worker"
        )
    return version


def _upgrade(database: sqlite3.Connection, before: int) -> None:
    for version in range(before + 1, SCHEMA + 1):
        for statement in schema(version):
            database.execute(statement)
    database.execute(f"PRAGMA application_id = {APPLICATION}")
    database.execute(f"PRAGMA user_version = {SCHEMA}")


def _choose_journal(database: sqlite3.Connection, path: str, *, is_new: bool) -> None:
    """Whoever creates the file decides for all processes. Only an unsafe mode is changed."""
    (mode,) = database.execute("PRAGMA journal_mode").fetchone()
    if wal_is_safe(sqlite3.sqlite_version_info):
        if (is_new or mode == "wal") and _set_journal(database, "WAL") == "wal":
            return
    elif mode == "wal" and _set_journal(database, "TRUNCATE") == "wal":
        raise StoreRefused(
            f"{path} is in use by a newer SQLite in WAL mode, which SQLite "
            f"{sqlite3.sqlite_version} cannot use safely from several processes. Give all workers "
            "a Python with SQLite 3.51.3 or newer, or stop them all once and start this one first"
        )
    # Unlike DELETE, TRUNCATE leaves no directory entry to be lost in a power cut.
    _set_journal(database, "TRUNCATE")


def _set_journal(database: sqlite3.Connection, mode: str) -> str:
    """Try to set the mode; the mode that the file then has. Another process may be using it."""
    try:
        (now,) = database.execute(f"PRAGMA journal_mode = {mode}").fetchone()
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        (now,) = database.execute("PRAGMA journal_mode").fetchone()
    return str(now)


def _number(database: sqlite3.Connection, pragma: str) -> int:
    (value,) = database.execute(f"PRAGMA {pragma}").fetchone()
    return int(value)
