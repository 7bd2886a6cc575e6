"""Processes that are killed in a model call or in a tool, on real stores."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from agents.items import TResponseInputItem

from tests.integration.durable_process import Book, agent_of, work
from turnwise import MemorySession, connect
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.testing.servers import ValkeyServer, find_valkey

BEFORE: list[TResponseInputItem] = [{"role": "user", "content": "before"}]
ROOT = Path(__file__).parents[2]


@pytest.fixture
async def url(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        if kind == "sqlite":
            yield f"sqlite:///{tmp_path / 'sessions.db'}"
            return
        if find_valkey() is None:
            pytest.skip("there is no Valkey")
        yield (await stack.enter_async_context(ValkeyServer())).url


async def worker(url: str, ledger: Path, how: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "tests.integration.durable_process",
        url,
        str(ledger),
        how,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def noted(ledger: Path, what: str, process: asyncio.subprocess.Process) -> None:
    while not (ledger.exists() and any(line.startswith(what) for line in lines(ledger))):
        assert process.returncode is None, await process.communicate()
        await asyncio.sleep(0.01)


def lines(ledger: Path) -> list[str]:
    return ledger.read_text().splitlines()


async def calm(tmp_path: Path) -> list[TResponseInputItem]:
    session = MemorySession(session_id="s")
    await session.add_items(BEFORE)
    await work(session, agent_of(Book(tmp_path / "calm.txt")), "turnwise")
    return await session.get_items()


@pytest.mark.parametrize(
    ("kind", "held", "how"),
    [
        ("valkey", "model-m-1", "streamed"),
        ("valkey", "three", "turnwise"),
        ("sqlite", "two", "sdk"),
        ("sqlite", "model-m-2", "turnwise"),
    ],
)
async def test_a_killed_worker_loses_nothing_that_it_had_finished(
    url: str, held: str, how: str, tmp_path: Path
) -> None:
    async with connect(url, session_id="s") as session:
        await session.add_items(BEFORE)  # a session without a commit would go with its worker
    ledger = tmp_path / "ledger.txt"
    ledger.with_suffix(".holds").write_text(held)
    first = await worker(url, ledger, how)
    await noted(ledger, held, first)
    if held == "two":  # its neighbour is to end first
        async with connect(url, session_id="s") as session:
            while (info := await session.info()) is None or info.journal_entries < 4:
                await asyncio.sleep(0.01)
    first.send_signal(signal.SIGKILL)
    await first.wait()
    await first.communicate()
    ledger.with_suffix(".holds").write_text("")
    second = await worker(url, ledger, how)
    out, err = await second.communicate()
    assert (second.returncode, out.decode().strip()) == (0, "done"), err.decode()
    done = Counter(line.split()[0] for line in lines(ledger))
    twice = {what for what, count in done.items() if count > 1}
    assert twice == ({held} if held.startswith("model") else set())
    async with connect(url, session_id="s") as session:
        history = await session.get_items()
    assert history == _expected(await calm(tmp_path), held)


def _expected(history: list[TResponseInputItem], held: str) -> list[Any]:
    """The undisturbed history, except the output of the tool that was running."""
    changed: list[Any] = [dict(item) for item in history]
    for item in changed:
        if item.get("call_id") == f"of_{held}" and "output" in item:
            item["output"] = OUTCOME_UNKNOWN
    return changed
