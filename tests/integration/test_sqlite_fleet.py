"""Background work, dead letters and events in one SQLite file that several processes use."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from turnwise.limits import Limits
from turnwise.stores.sqlite import SQLiteStore
from turnwise.stores.sqlite import database as database_module
from turnwise.stores.sqlite.database import SCHEMA
from turnwise.stores.sqlite.store import SWEEP_INTERVAL_MS
from turnwise.types import Cancelled, Claim, Done, Events, Grant

LEASE = 30_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "fleet.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    await store.aclose()


@pytest_asyncio.fixture
async def other(path: Path) -> AsyncIterator[SQLiteStore]:
    """Another connection, as another process has: the two do not know of each other."""
    other = SQLiteStore(path)
    yield other
    await other.aclose()


def rows(path: Path, *tables: str) -> list[int]:
    with closing(sqlite3.connect(path)) as database:
        counts = [database.execute(f"SELECT count(*) FROM {table}") for table in tables]
        return [count.fetchone()[0] for count in counts]


async def begun(store: SQLiteStore, turn_id: str, token: str) -> Grant:
    grant = await store.begin("s", turn_id, token, LEASE, worker="w")
    assert isinstance(grant, Grant)
    return grant


async def test_an_older_file_is_upgraded_once(
    path: Path, store: SQLiteStore, other: SQLiteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.submit("s", "t", b"one")
    await store.aclose()
    # As the next version will: its statements would fail if they ran a second time.
    monkeypatch.setattr(database_module, "SCHEMA", SCHEMA + 1)
    monkeypatch.setattr(database_module, "schema", {SCHEMA + 1: ["CREATE TABLE more (x)"]}.get)
    first, second = await asyncio.gather(store.info("s"), other.info("s"))
    assert first == second
    assert rows(path, "more") == [0]
    with closing(sqlite3.connect(path)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA + 1,)
    assert await store.ready.claim("w", 5, 0) == [Claim("s", None, 0, "s")]


async def test_another_process_wakes_a_cancelled_turn(
    store: SQLiteStore, other: SQLiteStore
) -> None:
    woken = asyncio.Event()
    await begun(store, "t", "k")
    with store.on_wakeup("k", woken.set):
        assert await other.cancel("s") == Cancelled("flagged", "t", "w")
        await woken.wait()


async def test_a_listener_only_checks_whether_the_file_changed(store: SQLiteStore) -> None:
    await begun(store, "t", "k")
    store._look()
    statements: list[str] = []
    await store._connections.run(lambda d: d.set_trace_callback(statements.append))
    with store.on_wakeup("k", lambda: None):
        while len(statements) < 3:
            await asyncio.sleep(0.01)
    assert all("data_version" in statement for statement in statements)


async def test_an_idle_worker_writes_nothing(store: SQLiteStore) -> None:
    await begun(store, "t", "k")
    statements: list[str] = []
    await store._connections.run(lambda d: d.set_trace_callback(statements.append))
    assert await store.ready.claim("w", 5, 0) == []
    assert statements
    assert not any("IMMEDIATE" in statement for statement in statements)


async def test_a_session_of_callers_alone_wakes_no_worker(path: Path, store: SQLiteStore) -> None:
    await begun(store, "t", "k")
    await store.begin("s", "u", "l", LEASE, worker="w", ticket_ms=60_000)
    assert rows(path, "ready") == [0]
    await store.submit("s", "m", b"one")
    assert rows(path, "ready") == [1]
    await store.abort("s", "t", "k")
    grant = await store.begin("s", "u", "l", LEASE, worker="w", ticket_ms=60_000)
    assert isinstance(grant, Grant)
    assert await store.ready.claim("w", 5, 0) == []
    assert isinstance(await store.commit("s", "u", "l", grant.tip, "c", [b"{"]), Done)
    assert len(await store.ready.claim("w", 5, 0)) == 1
    assert await store.delete("s")
    assert rows(path, "ready") == [0]


async def test_old_events_are_swept_away(path: Path) -> None:
    time = 1_000_000
    store = SQLiteStore(path, limits=Limits(events_ttl_ms=1000), clock=lambda: time)
    for number in range(15):
        await store.events.append("s", f"t{number}", 1, 0, [b"one", b"two"])
    assert rows(path, "event_logs", "events") == [15, 30]
    time += SWEEP_INTERVAL_MS + 1000
    assert await store.events.read("s", "t1") == Events([])
    await store.append("s", "o1", [b"{"])
    assert rows(path, "event_logs", "events") == [5, 10]  # one verb does not pay for all
    await store.append("s", "o2", [b"{"])
    assert rows(path, "event_logs", "events") == [0, 0]
    await store.aclose()
