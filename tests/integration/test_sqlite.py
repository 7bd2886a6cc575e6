"""The SQLite store among processes: one file, nothing lost, nothing doubled, flat in its length."""

from __future__ import annotations

import itertools
import multiprocessing
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration import sqlite_processes
from turnwise.codec.elements import is_item
from turnwise.stores.sqlite import SQLiteStore
from turnwise.types import Absent, Base, Done, Grant, History, Queued

LEASE = 30_000
spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path)
    yield store
    await store.aclose()


@contextmanager
def process(work: Callable[..., None], *arguments: Any) -> Iterator[BaseProcess]:
    """Another interpreter that does `work`; killed if it has not ended by the end of the block."""
    worker = spawn.Process(target=work, args=arguments)
    worker.start()
    try:
        yield worker
    finally:
        worker.kill()
        worker.join()
        worker.close()


def finish(worker: BaseProcess) -> None:
    worker.join(100)
    assert worker.exitcode == 0


async def items(store: SQLiteStore, session_id: str = "s") -> list[bytes]:
    history = await store.read(session_id)
    return [] if isinstance(history, Absent) else [e for e in history.elements if is_item(e)]


def intact(path: Path) -> bool:
    """Whether SQLite finds the file in order; also undoes what a dead process left half done."""
    database = sqlite3.connect(path)
    (answer,) = database.execute("PRAGMA integrity_check").fetchone()
    database.close()
    return bool(answer == "ok")


async def test_processes_append_at_once(path: Path, store: SQLiteStore) -> None:
    names, count = ("p", "q", "r"), 24
    with (
        process(sqlite_processes.append_all, path, names[0], count) as first,
        process(sqlite_processes.append_all, path, names[1], count) as second,
        process(sqlite_processes.append_all, path, names[2], count) as third,
    ):
        for worker in (first, second, third):
            finish(worker)
    for parity in range(2):
        found = await items(store, f"s{parity}")
        pairs = list(zip(found[::2], found[1::2], strict=True))
        assert all(a.endswith(b" a") and a[:-2] == b[:-2] for a, b in pairs)
        ops = [a[1:-2].decode() for a, _ in pairs]
        assert sorted(ops) == sorted(f"{n}-{i}" for n in names for i in range(parity, count, 2))
        for name in names:  # the appends of one process are in the order in which it sent them
            numbers = [int(op.split("-")[1]) for op in ops if op.startswith(name)]
            assert numbers == sorted(numbers)
    assert intact(path)


async def test_processes_take_turns(path: Path, store: SQLiteStore) -> None:
    count = 12
    with (
        process(sqlite_processes.count_up, path, "p", count) as first,
        process(sqlite_processes.count_up, path, "q", count) as second,
        process(sqlite_processes.count_up, path, "r", count) as third,
    ):
        for worker in (first, second, third):
            finish(worker)
    assert await items(store) == [b"{%d" % n for n in range(1, 3 * count + 1)]


async def test_a_process_killed_before_its_commit_leaves_nothing(
    path: Path, store: SQLiteStore
) -> None:
    await store.append("s", "before", [b"{before"])
    here, there = spawn.Pipe()
    # Far more than SQLite holds in memory: the file itself is half written when the kill comes.
    large = [b"{" + bytes([65 + n % 26]) * 100_000 for n in range(100)]
    with process(sqlite_processes.hang_before_the_commit, path, there, large) as worker:
        assert here.poll(100)
        assert here.recv() == "written"
        worker.kill()
        worker.join()
    left_over = [path.with_name(path.name + end) for end in ("-journal", "-wal")]
    sizes = [file.stat().st_size for file in left_over if file.exists()]
    assert max(sizes) > 0
    assert path.stat().st_size + max(sizes) > 5_000_000
    assert await items(store) == [b"{before"]
    assert intact(path)
    assert isinstance(await store.append("s", "killed", large), Done)
    assert await items(store) == [b"{before", *large]


async def test_processes_killed_at_any_moment_lose_nothing_acknowledged(
    path: Path, store: SQLiteStore
) -> None:
    acknowledged: list[str] = []
    for kill in range(3):
        here, there = spawn.Pipe()
        with process(sqlite_processes.write_for_ever, path, f"k{kill}", there) as worker:
            for _ in range(5 + 4 * kill):
                assert here.poll(100)
                acknowledged.append(here.recv())
            worker.kill()
            worker.join()
            acknowledged += drained(here)
    found = [item[1:].decode().rsplit(" ", 1) for item in await items(store)]
    by_op = {op: [int(part) for _, part in parts] for op, parts in itertools.groupby(found, first)}
    assert len(by_op) * 5 == len(found), "no append came apart or came twice"
    assert all(parts == [0, 1, 2, 3, 4] for parts in by_op.values())
    assert set(acknowledged) <= set(by_op)
    assert len(by_op) <= len(acknowledged) + 3, "at most one unacknowledged append a kill"
    assert intact(path)


def first(pair: list[str]) -> str:
    return pair[0]


def drained(pipe: Connection) -> list[str]:
    """What the dead process had sent."""
    messages = []
    while pipe.poll(0):
        try:
            messages.append(pipe.recv())
        except EOFError:
            break
    return messages


async def test_a_waiter_is_woken_from_another_process(path: Path, store: SQLiteStore) -> None:
    # Two stores are two connections, as two processes have; neither knows of the other.
    other = SQLiteStore(path)
    other._max_wait = 1000  # the wake-up itself must come: the test would time out
    grant = await store.begin("s", "t1", "k1", LEASE, worker="w1")
    assert isinstance(grant, Grant)
    async with other.waiter("k2") as wake:
        queued = await other.begin("s", "t2", "k2", LEASE, worker="w2", ticket_ms=60_000)
        assert isinstance(queued, Queued)
        assert isinstance(await store.commit("s", "t1", "k1", grant.tip, "c1", [b"{"]), Done)
        await wake.wait(1000)
        granted = await other.begin("s", "t2", "k2", LEASE, worker="w2", ticket_ms=60_000)
        assert isinstance(granted, Grant)
    await other.aclose()


async def test_waiting_reads_the_wake_ups_only_when_the_file_changed(
    path: Path, store: SQLiteStore
) -> None:
    other = SQLiteStore(path)
    await store.append("s", "o1", [b"{"])
    statements: list[str] = []
    async with other.waiter("k") as wake:
        other._look()
        await other._connections.run(lambda d: d.set_trace_callback(statements.append))
        await wake.wait(0.3)
    assert statements
    assert all("data_version" in statement for statement in statements)
    await other.aclose()


class Work:
    """Counts the steps of SQLite's own machine, which do not depend on the computer's speed."""

    def __init__(self) -> None:
        self.steps = 0
        self.statements: list[str] = []

    def step(self) -> int:
        self.steps += 1
        return 0


async def work_of_a_turn(store: SQLiteStore, number: int, base: Base | None) -> tuple[Work, Base]:
    work = Work()

    def count(database: sqlite3.Connection) -> None:
        database.set_progress_handler(work.step, 1)
        database.set_trace_callback(work.statements.append)

    def stop(database: sqlite3.Connection) -> None:
        database.set_progress_handler(None, 1)
        database.set_trace_callback(None)

    await store._connections.run(count)
    grant = await store.begin("s", f"t{number}", f"k{number}", LEASE, base, worker="w")
    assert isinstance(grant, Grant)
    done = await store.commit("s", f"t{number}", f"k{number}", grant.tip, f"c{number}", [b"{"] * 4)
    assert isinstance(done, Done)
    await store._connections.run(stop)
    return work, done.tip


async def test_a_turn_costs_the_same_after_0_and_after_100_000_items(store: SQLiteStore) -> None:
    # Fresh statements cost steps of their own when first prepared, so one turn goes ahead.
    _, base = await work_of_a_turn(store, 0, None)
    short, _ = await work_of_a_turn(store, 1, base)
    for part in range(5):
        await store.append("s", f"o{part}", [b"{" + b"x" * 100] * 20_000)
    history = await store.read("s", limit=1)
    assert isinstance(history, History)
    assert history.items > 100_000
    long, base = await work_of_a_turn(store, 2, history.tip)
    assert len(long.statements) == len(short.statements) <= 20
    assert 0 < long.steps <= short.steps * 1.1
    # Also with no history in hand, where the answer is to reload.
    cold, _ = await work_of_a_turn(store, 3, None)
    assert cold.steps <= short.steps * 1.1


async def test_a_tail_is_read_without_the_rest(store: SQLiteStore) -> None:
    await store.append("s", "o1", [b"{%d" % n for n in range(10_000)])
    work = Work()
    await store._connections.run(lambda d: d.set_progress_handler(work.step, 1))
    history = await store.read("s", limit=12)
    await store._connections.run(lambda d: d.set_progress_handler(None, 1))
    assert isinstance(history, History)
    assert history.elements[:10] == [b"{%d" % n for n in range(9_990, 10_000)]
    assert work.steps < 500
