"""What a SQLite file and its disk tell. `turnwise.doctor` judges it."""

from __future__ import annotations

import os
import shutil
import sqlite3
from dataclasses import dataclass

from turnwise.stores.sqlite.database import wal_is_safe
from turnwise.stores.sqlite.files import network_file_system


@dataclass(frozen=True)
class SQLiteProbe:
    """A file and where it is, looked at from outside: nothing is opened or made.

    `network`: the kind of the network file system that it is on, or "". `size`: of the file, in
    bytes. `free`: bytes of its disk; None if there is no such directory. `can_be_made`: whether
    this user may make files in its directory.
    """

    path: str
    version: str
    wal_is_safe: bool
    network: str
    exists: bool
    can_be_made: bool
    size: int
    free: int | None


def probe(path: str) -> SQLiteProbe:
    """Look at a file that need not exist yet."""
    directory, exists = os.path.dirname(path), os.path.exists(path)
    return SQLiteProbe(
        path,
        sqlite3.sqlite_version,
        wal_is_safe(sqlite3.sqlite_version_info),
        network_file_system(path),
        exists,
        os.access(directory, os.W_OK | os.X_OK),
        os.path.getsize(path) if exists else 0,
        shutil.disk_usage(directory).free if os.path.isdir(directory) else None,
    )
