"""What the other processes of test_sqlite*.py do. Run by `multiprocessing`, in new interpreters."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import threading
from collections.abc import Callable, Coroutine
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from turnwise.stores.sqlite import SQLiteStore
from turnwise.types import Done, Grant, Queued

LEASE = 30_000


def told_by(work: Callable[[Path, Connection], None], path: Path) -> Any:
    """What `work` sends from another interpreter, which must end well."""
    spawn = multiprocessing.get_context("spawn")  # a fork of the test's own process would warn
    here, there = spawn.Pipe()
    worker = spawn.Process(target=work, args=(path, there))
    worker.start()
    worker.join(100)
    exitcode = worker.exitcode
    worker.close()
    assert exitcode == 0, f"the process ended with {exitcode}"
    return here.recv()


def run(work: Coroutine[Any, Any, None]) -> None:
    asyncio.run(work)


def append_all(path: Path, name: str, count: int) -> None:
    """`count` appends of two items each to two sessions; every third is sent twice."""
    run(_append_all(path, name, count))


async def _append_all(path: Path, name: str, count: int) -> None:
    store = SQLiteStore(path)
    for number in range(count):
        op_id = f"{name}-{number}"
        items = [b"{%b a" % op_id.encode(), b"{%b b" % op_id.encode()]
        for _ in range(2 if number % 3 == 0 else 1):
            assert isinstance(await store.append(f"s{number % 2}", op_id, items), Done)
    await store.aclose()


def count_up(path: Path, name: str, count: int) -> None:
    """`count` turns on one session; each adds the number after the last one that it finds."""
    run(_count_up(path, name, count))


async def _count_up(path: Path, name: str, count: int) -> None:
    store = SQLiteStore(path)
    for number in range(count):
        turn_id, token = f"{name}-{number}", f"token-{name}-{number}"
        grant = await take_turn(store, "s", turn_id, token)
        assert grant.history is not None
        numbers = [int(e[1:]) for e in grant.history.elements if e[:1] == b"{"]
        after = b"{%d" % (numbers[-1] + 1 if numbers else 1)
        answer = await store.commit("s", turn_id, token, grant.tip, f"c-{token}", [after])
        assert isinstance(answer, Done)
    await store.aclose()


async def take_turn(store: SQLiteStore, session_id: str, turn_id: str, token: str) -> Grant:
    """Begin, waiting for one's turn."""
    async with store.waiter(token) as wake:
        while True:
            answer = await store.begin(
                session_id, turn_id, token, LEASE, worker=turn_id, ticket_ms=60_000
            )
            if isinstance(answer, Grant):
                return answer
            assert isinstance(answer, Queued)
            await wake.wait(10)


def hang_before_the_commit(path: Path, ready: Connection, items: list[bytes]) -> None:
    """Send an append, and stop where everything is written but nothing committed."""

    class Hanging(SQLiteStore):
        def _sweep(self, database: sqlite3.Connection, now: int) -> None:
            ready.send("written")
            threading.Event().wait()

    run(_append(Hanging(path), items))


async def _append(store: SQLiteStore, items: list[bytes]) -> None:
    await store.append("s", "killed", items)


def write_for_ever(path: Path, name: str, ready: Connection) -> None:
    """Turns until killed; each is announced when it is acknowledged."""
    run(_write_for_ever(path, name, ready))


async def _write_for_ever(path: Path, name: str, ready: Connection) -> None:
    store, number = SQLiteStore(path), 0
    while True:
        op_id = f"{name}-{number}"
        items = [b"{%b %d" % (op_id.encode(), part) for part in range(5)]
        assert isinstance(await store.append("s", op_id, items), Done)
        ready.send(op_id)
        number += 1


def use_as_nobody(path: Path, outcome: Connection) -> None:
    """Read and append without the rights of root, and send what was raised."""
    store = SQLiteStore(path, busy_timeout=0.2)
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)
    run(_use_as_nobody(store, outcome))


async def _use_as_nobody(store: SQLiteStore, outcome: Connection) -> None:
    said = []
    for call in (store.read("s"), store.append("s", "op", [b"{"])):
        try:
            said.append(type(await call).__name__)
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    await store.aclose()
    outcome.send(said)


def fork_in_use(path: Path, outcome: Connection) -> None:
    """Use a store on both sides of a fork."""
    store = SQLiteStore(path)
    asyncio.run(_append_one(store, "before"))
    child = os.fork()
    if child == 0:
        status = 1
        try:
            asyncio.run(_append_one(store, "child"))
            status = 0
        finally:
            os._exit(status)
    asyncio.run(_append_one(store, "parent"))
    _, status = os.waitpid(child, 0)
    asyncio.run(store.aclose())
    outcome.send(os.waitstatus_to_exitcode(status))


async def _append_one(store: SQLiteStore, op_id: str) -> None:
    answer = await store.append("s", op_id, [b"{" + op_id.encode()])
    assert isinstance(answer, Done)
    if op_id == "child":
        await store.aclose()
