"""The worker registry: worker processes, as operators see them."""

from __future__ import annotations

import asyncio
import os
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import echo, output, working
from tests.integration.forked import ForkedProcess
from tests.integration.programs import STARTED, ready
from turnwise import HeldTurn, WorkerInfo, connect
from turnwise.fleet import workers as registry
from turnwise.session import Session
from turnwise.testing.servers.waiting import until


async def holding(session: Session, process: ForkedProcess) -> WorkerInfo:
    """The only worker, once it says that it holds a turn."""

    async def holds() -> bool:
        return any(worker.turns for worker in await session.workers())

    await ready(process, holds, "a worker that holds a turn")
    (worker,) = await session.workers()
    return worker


async def test_a_worker_says_what_it_is_and_holds_and_leaves_nothing(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipt = await session.submit("s", "slow", agent="echo", turn_id="t")
        process = fleet.worker("--concurrency", "7")
        worker = await holding(session, process)
        assert worker.alive
        assert not worker.stopping
        assert worker.name.split(":")[:2] == [worker.host, str(worker.pid)]
        assert worker.version == version("turnwise")
        assert {"a", "echo"} <= set(worker.agents)
        assert (worker.concurrency, worker.active) == (7, 1)
        assert worker.turns == (HeldTurn("s", "t"),)
        fleet.let_go()
        assert await output(receipt) == "re: slow"
        await process.terminate(STARTED)
        assert await session.workers() == []
    assert not [name for name in os.listdir(fleet.ledger.parent) if name.endswith("-workers")]


async def test_a_killed_worker_still_shows_what_it_held(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(fleet.url) as session:
        await session.submit("s", "slow", agent="echo", turn_id="t")
        process = fleet.worker()
        await holding(session, process)
        await process.kill()
        monkeypatch.setattr(registry, "SILENT_AFTER", 0.5)

        async def silent() -> bool:
            (worker,) = await session.workers()
            return not worker.alive

        await until(silent, STARTED, "silence")
        (worker,) = await session.workers()
        assert worker.turns == (HeldTurn("s", "t"),)
        assert worker.silent_for > 0.5


async def test_a_worker_in_this_process_is_listed_until_it_ends(tmp_path: Path) -> None:
    """Its direct turns are named too, and a record that another version wrote is left out."""
    async with connect(f"sqlite:///{tmp_path / 'sessions.db'}", worker="me") as session:
        await session.runtime.store.workers.write("newer", b'{"pid": "?"}')
        async with session.turn("direct", turn_id="t"), working(session, echo()):

            async def listed() -> bool:
                return bool(await session.workers())

            await until(listed, STARTED, "the record")
            (worker,) = await session.workers()
            assert (worker.name, worker.pid) == ("me", os.getpid())
            assert worker.turns == (HeldTurn("direct", "t"),)
        assert await session.workers() == []
        assert not session.runtime.held.get()


async def test_without_a_registry_a_worker_works(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "sessions.db"
    Path(f"{path}-workers").touch()  # where the folder should be
    async with connect(f"sqlite:///{path}", worker="me") as session:
        async with working(session, echo()):
            assert await output(await session.submit("s", "one", agent="echo")) == "re: one"
        await asyncio.sleep(0)
    (warning,) = {record.getMessage() for record in caplog.records}
    assert warning.startswith("worker 'me' is not in the registry: ")
    assert "check the folder's owner and mode" in warning
