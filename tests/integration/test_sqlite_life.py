"""The SQLite store's own life: cancellation, closing, forks, event loops, and expiry."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration import sqlite_processes
from turnwise.codec.elements import is_item
from turnwise.limits import Limits
from turnwise.stores.sqlite import SQLiteStore
from turnwise.stores.sqlite.database import transaction
from turnwise.stores.sqlite.queries import queries
from turnwise.stores.sqlite.store import SWEEP_INTERVAL_MS
from turnwise.testing.conformance.lab import ids
from turnwise.types import Absent, Done, Grant, History, Queued

LEASE = 30_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "life.db"


class Clock:
    """Time as the test sets it; it can hold a verb up in the middle of its transaction."""

    def __init__(self) -> None:
        self.now = 1_000_000
        self.reached = threading.Event()
        self.go_on = threading.Event()
        self.go_on.set()

    def __call__(self) -> int:
        self.reached.set()
        self.go_on.wait()
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest_asyncio.fixture
async def store(path: Path, clock: Clock) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, clock=clock)
    yield store
    clock.go_on.set()
    await store.aclose()


async def items(store: SQLiteStore, session_id: str = "s") -> list[bytes]:
    history = await store.read(session_id)
    return [] if isinstance(history, Absent) else [e for e in history.elements if is_item(e)]


async def cancelled_in_its_transaction(
    clock: Clock, call: asyncio.Task[Done], *, waiting: asyncio.Task[Done] | None = None
) -> None:
    """Cancel `call`, which the clock holds in its transaction, and whoever waits behind it."""
    await asyncio.to_thread(clock.reached.wait)
    for task in (call, waiting):
        if task is not None:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    clock.go_on.set()


async def append(store: SQLiteStore, op_id: str) -> Done:
    answer = await store.append("s", op_id, [b"{" + op_id.encode()])
    assert isinstance(answer, Done)
    return answer


async def test_a_cancelled_call_leaves_no_transaction(store: SQLiteStore, clock: Clock) -> None:
    await append(store, "before")
    clock.reached.clear()
    clock.go_on.clear()
    running = asyncio.create_task(append(store, "running"))
    await asyncio.to_thread(clock.reached.wait)
    waiting = asyncio.create_task(append(store, "waiting"))
    await asyncio.sleep(0)
    await cancelled_in_its_transaction(clock, running, waiting=waiting)
    assert not await store._connections.run(lambda database: database.in_transaction)
    # What had started took effect, what had not did not; to send them again is right in any case.
    assert await items(store) == [b"{before", b"{running"]
    await append(store, "running")
    await append(store, "waiting")
    assert await items(store) == [b"{before", b"{running", b"{waiting"]


async def test_a_cancelled_commit_still_wakes_who_is_next(store: SQLiteStore, clock: Clock) -> None:
    store._max_wait = 1000  # the wake-up itself must come: the test would time out
    grant = await store.begin("s", "t1", "k1", LEASE, worker="w")
    assert isinstance(grant, Grant)
    async with store.waiter("k2") as wake:
        queued = await store.begin("s", "t2", "k2", LEASE, worker="w", ticket_ms=60_000)
        assert isinstance(queued, Queued)
        clock.reached.clear()
        clock.go_on.clear()
        commit = store.commit("s", "t1", "k1", grant.tip, "c1", [b"{"])

        async def call() -> Done:
            answer = await commit
            assert isinstance(answer, Done)
            return answer

        await cancelled_in_its_transaction(clock, asyncio.create_task(call()))
        await wake.wait(1000)
        assert isinstance(await store.begin("s", "t2", "k2", LEASE, worker="w", ticket_ms=1), Grant)


async def test_an_error_in_a_verb_leaves_no_transaction(store: SQLiteStore) -> None:
    await append(store, "before")

    def fail(_: object) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store._run("s", fail)
    assert not await store._connections.run(lambda database: database.in_transaction)
    assert await items(store) == [b"{before"]


def threads(path: Path) -> list[str]:
    return [t.name for t in threading.enumerate() if path.name in t.name]


async def test_closing_ends_thread_and_connection(path: Path, store: SQLiteStore) -> None:
    assert threads(path) == []
    await append(store, "one")
    assert len(threads(path)) == 1
    connection = await store._connections.run(lambda database: database)
    await store.aclose()
    assert threads(path) == []
    with pytest.raises(sqlite3.ProgrammingError):
        connection.total_changes  # noqa: B018  # a closed connection answers nothing
    await store.aclose()
    await append(store, "two")
    assert await items(store) == [b"{one", b"{two"]


async def test_closing_lets_earlier_calls_finish(path: Path, store: SQLiteStore) -> None:
    calls = [asyncio.create_task(append(store, f"o{n}")) for n in range(5)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*calls)
    assert threads(path) == []
    assert len(await items(store)) == 5


async def test_two_event_loops_share_one_store(path: Path) -> None:
    store = SQLiteStore(path)
    store._max_wait = 1000
    grant = await store.begin("s", "t1", "k1", LEASE, worker="w")
    assert isinstance(grant, Grant)
    waits = threading.Event()

    async def wait_for_turn() -> bytes:
        async with store.waiter("k2") as wake:
            queued = await store.begin("s", "t2", "k2", LEASE, worker="w", ticket_ms=60_000)
            assert isinstance(queued, Queued)
            waits.set()
            await wake.wait(1000)
            granted = await store.begin("s", "t2", "k2", LEASE, worker="w", ticket_ms=60_000)
        assert isinstance(granted, Grant)
        assert granted.history is not None
        return granted.history.elements[0]

    other = asyncio.create_task(asyncio.to_thread(lambda: asyncio.run(wait_for_turn())))
    await asyncio.to_thread(waits.wait)
    assert isinstance(await store.commit("s", "t1", "k1", grant.tip, "c1", [b"{one"]), Done)
    assert await other == b"{one"
    assert len(threads(path)) == 1
    await store.aclose()


async def test_a_forked_process_opens_its_own(path: Path) -> None:
    assert sqlite_processes.told_by(sqlite_processes.fork_in_use, path) == 0
    store = SQLiteStore(path)
    assert sorted(await items(store)) == [b"{before", b"{child", b"{parent"]
    await store.aclose()


def rows(path: Path) -> dict[str, int]:
    tables = ("sessions", "elements", "journal", "queue")
    with closing(sqlite3.connect(path)) as database:
        return {t: database.execute(f"SELECT count(*) FROM {t}").fetchone()[0] for t in tables}


async def fill(store: SQLiteStore, session_id: str, ttl: int | None) -> None:
    """A session with something in every table."""
    await store.append(session_id, f"o-{session_id}", [b"{"])
    grant = await store.begin(session_id, "t", f"k-{session_id}", LEASE, worker="w")
    assert isinstance(grant, Grant)
    await store.journal(session_id, "t", f"k-{session_id}", 0, [b"{"])
    await store.submit(session_id, "m", b"{")
    assert await store.expire(session_id, ttl)


EMPTY = {"sessions": 0, "elements": 0, "journal": 0, "queue": 0}


async def test_an_expired_session_is_absent_and_can_be_created_again(
    path: Path, store: SQLiteStore, clock: Clock
) -> None:
    await fill(store, "s", 5_000)
    before = await store.info("s")
    clock.now += 4_999
    assert isinstance(await store.read("s"), History)
    clock.now += 1
    assert isinstance(await store.read("s"), Absent)
    assert isinstance(await store.info("s"), Absent)
    assert await store.expire("s", None) is False
    assert rows(path) == EMPTY
    await append(store, "anew")
    assert await items(store) == [b"{anew"]
    after = await store.info("s")
    assert not isinstance(before, Absent)
    assert not isinstance(after, Absent)
    assert after.incarnation != before.incarnation
    assert (after.queued, after.journal_entries, after.expires_in) == (0, 0, None)


async def test_scan_leaves_expired_sessions_out_and_removes_them(
    path: Path, store: SQLiteStore, clock: Clock
) -> None:
    for number in range(50):
        await fill(store, f"dying {number}", 1_000)
    await append(store, "stays")
    clock.now += 2_000
    assert await ids(store) == ["s"]
    assert rows(path) == {"sessions": 1, "elements": 3, "journal": 0, "queue": 0}


async def test_writing_sweeps_expired_sessions(
    path: Path, store: SQLiteStore, clock: Clock
) -> None:
    for number in range(13):
        await fill(store, f"dying {number}", 1_000)
    clock.now += SWEEP_INTERVAL_MS + 1_000
    await append(store, "stays")
    assert rows(path)["sessions"] == 4  # one verb does not pay for all
    await append(store, "stays too")
    assert rows(path) == {"sessions": 1, "elements": 6, "journal": 0, "queue": 0}


async def test_a_wait_is_not_ended_by_a_store_that_does_not_answer(path: Path) -> None:
    store = SQLiteStore(path, busy_timeout=0.01)
    await append(store, "o")
    async with store.waiter("k") as wake:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            await wake.wait(0.2)
            other.execute("ROLLBACK")
    await store.aclose()


async def test_ping_holds_no_lock(path: Path, store: SQLiteStore) -> None:
    await store.ping()
    with closing(sqlite3.connect(path, timeout=0, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        other.execute("ROLLBACK")


async def test_a_deleted_session_leaves_no_row(path: Path, store: SQLiteStore) -> None:
    await fill(store, "s", None)
    await fill(store, "other", None)
    assert await store.delete("s")
    assert rows(path) == {"sessions": 1, "elements": 3, "journal": 1, "queue": 1}
    assert await store.delete("s") is False


async def test_scan_pages_through_many_sessions(store: SQLiteStore) -> None:
    await store.append("s", "o", [b"{"])

    def add(database: sqlite3.Connection) -> None:
        row = database.execute("SELECT header FROM sessions").fetchone()
        values = [(f"n{number:05}", *row) for number in range(2_500)]
        with transaction(database, writes=True):
            database.executemany("INSERT INTO sessions VALUES (NULL, ?, ?, 0, NULL, NULL)", values)

    await store._connections.run(add)
    found = await ids(store, "n*")
    assert found == [f"n{number:05}" for number in range(2_500)]


async def test_ids_of_any_text(store: SQLiteStore) -> None:
    names = ["a\0b", "a", "%", "ü", "\N{PILE OF POO}", " ", "'; DROP TABLE sessions; --", "x" * 512]
    for session_id in names:
        await store.append(session_id, "o", [b"{" + session_id.encode()])
    assert set(await ids(store)) == set(names)
    for session_id in names:
        assert await items(store, session_id) == [b"{" + session_id.encode()]


async def test_limits_reach_the_verbs(path: Path, clock: Clock) -> None:
    store = SQLiteStore(path, limits=Limits(ttl_ms=7_000), clock=clock)
    await append(store, "o")
    info = await store.info("s")
    assert not isinstance(info, Absent)
    assert info.expires_in == 7
    await store.aclose()


async def test_every_statement_is_good_and_uses_an_index(store: SQLiteStore) -> None:
    def plans(database: sqlite3.Connection) -> dict[str, str]:
        names = ("session", "session_id", "first", "last", "marker", "length", "header", "queued")
        more = ("expires", "after", "now", "count", "token", "kept_ms", "seen", "owner")
        named = dict.fromkeys((*names, *more), 0)
        return {
            name: " ".join(
                row[3]
                for row in database.execute(
                    f"EXPLAIN QUERY PLAN {text}", (0,) * text.count("?") if "?" in text else named
                )
            )
            for name, text in queries().items()
        }

    for name, plan in (await store._connections.run(plans)).items():
        if name == "announced":  # in the order of the index, up to its limit
            plan = plan.replace("SCAN ready USING COVERING INDEX ready_due", "")
        if name == "count_dead_letters":  # all of them, along an index
            plan = plan.replace("SCAN dead_letters USING COVERING INDEX", "")
        if name != "delete_wake_ups":  # a table of a few rows
            assert "SCAN" not in plan, f"{name}: {plan}"
