"""Wake-ups between processes, when the file is locked just as somebody looks for them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from turnwise.stores.sqlite.database import open_database
from turnwise.stores.sqlite.notifications import WakeUpTable


@pytest.fixture
def here(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    """A connection in a journal mode in which a writer keeps readers out."""
    with closing(open_database(str(tmp_path / "sessions.db"))) as database:
        database.execute("PRAGMA journal_mode = DELETE")
        yield database


@pytest.fixture
def there(here: sqlite3.Connection, tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_database(str(tmp_path / "sessions.db"))) as database:
        yield database


def test_another_file_at_the_same_path_counts_from_its_own_start(tmp_path: Path) -> None:
    """As after a restore: its wake-ups have lower numbers."""
    path, seen = str(tmp_path / "sessions.db"), WakeUpTable()
    for tokens in (["a", "b", "c"], ["d"]):
        with closing(open_database(path)) as here, closing(open_database(path)) as there:
            assert seen.new_tokens(here) == []
            WakeUpTable().add(there, tokens, now=0)
            assert seen.new_tokens(here) == tokens
        for file in tmp_path.iterdir():
            file.unlink()


@contextmanager
def locked_at(
    statement: str, here: sqlite3.Connection, there: sqlite3.Connection
) -> Iterator[None]:
    """`there` locks the file in the moment in which `here` begins to run `statement`."""

    def lock(sql: str) -> None:
        if statement in sql and not there.in_transaction:
            there.execute("BEGIN EXCLUSIVE")

    here.set_trace_callback(lock)
    try:
        yield
    finally:
        here.set_trace_callback(None)
        assert there.in_transaction, f"{statement} did not run"
        there.execute("ROLLBACK")


@pytest.mark.parametrize("statement", ["PRAGMA data_version", "FROM wake_ups"])
def test_a_look_that_finds_the_file_locked_is_repeated(
    here: sqlite3.Connection, there: sqlite3.Connection, statement: str
) -> None:
    seen, left = WakeUpTable(), WakeUpTable()
    assert seen.new_tokens(here) == []
    left.add(there, ["a", "b"], now=0)
    with locked_at(statement, here, there), pytest.raises(sqlite3.OperationalError, match="lock"):
        seen.new_tokens(here)
    assert seen.new_tokens(here) == ["a", "b"]
    assert seen.new_tokens(here) == []
