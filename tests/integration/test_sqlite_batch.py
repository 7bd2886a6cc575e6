"""Verbs that share a transaction: one commit for all, and each still stands or fails alone."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from turnwise.codec.elements import is_item
from turnwise.errors import NewerFormat, StoreRefused, StoreUnavailable
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.sqlite import SQLiteStore
from turnwise.stores.sqlite.batch import BATCH_LIMIT
from turnwise.testing.conformance.lab import ids
from turnwise.types import Done, History


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "batch.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, busy_timeout=0.1)
    await store.append("first", "first", [b"{"])
    yield store
    await store.aclose()


async def items(store: SQLiteStore, session_id: str) -> list[bytes]:
    history = await store.read(session_id)
    return [e for e in history.elements if is_item(e)] if isinstance(history, History) else []


def appends(store: SQLiteStore, count: int, size: int = 0) -> list[asyncio.Task[object]]:
    """Appends that are sent before the first of them can have been done."""

    async def append(number: int) -> object:
        return await store.append(f"s{number}", f"o{number}", [b"{%d" % number + b"x" * size])

    return [asyncio.create_task(append(number)) for number in range(count)]


@asynccontextmanager
async def held_up(store: SQLiteStore) -> AsyncIterator[None]:
    """What is sent in this block waits, to be done together at its end."""
    release = threading.Event()
    holding = asyncio.create_task(store._connections.run(lambda _: release.wait()))
    await asyncio.sleep(0)
    yield
    await asyncio.sleep(0)
    release.set()
    await holding


async def outcomes(tasks: list[asyncio.Task[object]]) -> list[object]:
    return list(await asyncio.gather(*tasks, return_exceptions=True))


async def test_what_waits_together_is_committed_together(store: SQLiteStore) -> None:
    statements: list[str] = []
    await store._connections.run(lambda database: database.set_trace_callback(statements.append))
    async with held_up(store):
        tasks = appends(store, BATCH_LIMIT)
    assert all(isinstance(answer, Done) for answer in await outcomes(tasks))
    await store._connections.run(lambda database: database.set_trace_callback(None))
    assert statements.count("COMMIT") == 1
    for number in range(BATCH_LIMIT):
        assert await items(store, f"s{number}") == [b"{%d" % number]


async def test_more_than_go_together(store: SQLiteStore) -> None:
    tasks = appends(store, 3 * BATCH_LIMIT)
    assert all(isinstance(answer, Done) for answer in await outcomes(tasks))
    assert len(await ids(store, "s*")) == 3 * BATCH_LIMIT


async def test_a_verb_that_fails_takes_no_other_with_it(path: Path, store: SQLiteStore) -> None:
    await store.append("s5", "before", [b"{"])
    with closing(sqlite3.connect(path, isolation_level=None)) as newer:
        raw = msgspec.json.encode({"format": 2})
        newer.execute("UPDATE sessions SET header = ? WHERE session_id = 's5'", (raw,))
    async with held_up(store):
        tasks = appends(store, 10)
    answers = await outcomes(tasks)
    assert isinstance(answers.pop(5), NewerFormat)
    assert all(isinstance(answer, Done) for answer in answers)
    assert await items(store, "s4") == [b"{4"]


async def test_a_verb_that_raises_late_leaves_nothing_of_its_own(store: SQLiteStore) -> None:
    def verb(verbs: Verbs) -> None:
        verbs.append("late", [b"{late"])
        raise ZeroDivisionError

    async with held_up(store):
        failing = asyncio.create_task(store._run("late", verb))
        tasks = appends(store, 6)
    with pytest.raises(ZeroDivisionError):
        await failing
    assert all(isinstance(answer, Done) for answer in await outcomes(tasks))
    assert await items(store, "late") == []


async def test_a_verb_that_finds_the_disk_full_takes_no_other_with_it(store: SQLiteStore) -> None:
    await store._connections.run(lambda d: d.execute("PRAGMA max_page_count = 60").fetchone())

    async def large() -> object:
        return await store.append("large", "large", [b"{" + b"x" * 500_000])

    async with held_up(store):
        tasks = [asyncio.create_task(large()), *appends(store, 4), asyncio.create_task(large())]
    first, *answers, last = await outcomes(tasks)
    assert isinstance(first, StoreRefused)
    assert isinstance(last, StoreRefused)
    assert all(isinstance(answer, Done) for answer in answers)
    assert await items(store, "large") == []
    assert [await items(store, f"s{number}") for number in range(4)] == [
        [b"{%d" % number] for number in range(4)
    ]


async def test_a_lock_stops_the_batch_and_each_verb_raises(path: Path, store: SQLiteStore) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        answers = await outcomes(appends(store, 6))
        other.execute("ROLLBACK")
    for number, answer in enumerate(answers):
        assert isinstance(answer, StoreUnavailable)
        assert answer.session_id == f"s{number}"
    assert all(isinstance(answer, Done) for answer in await outcomes(appends(store, 6)))


async def test_a_cancelled_one_is_left_out(store: SQLiteStore) -> None:
    async with held_up(store):
        tasks = appends(store, 8)
        await asyncio.sleep(0)
        tasks[3].cancel()
        await asyncio.wait([tasks[3]])
    answers = await outcomes(tasks)
    assert isinstance(answers.pop(3), asyncio.CancelledError)
    assert all(isinstance(answer, Done) for answer in answers)
    assert await items(store, "s3") == []
    assert await items(store, "s4") == [b"{4"]
