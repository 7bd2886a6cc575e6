"""Sessions in one SQLite file, for any number of processes on one machine."""

from turnwise.stores.sqlite.store import SQLiteStore

__all__ = ["SQLiteStore"]
