"""Processes that are killed in a model call or in a tool, on real stores."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from agents.items import TResponseInputItem

from tests.integration.durable_process import Book, agent_of, work
from tests.integration.forked import ForkedProcess, Forks, direct_turn
from turnwise import MemorySession, connect
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.testing.servers import ValkeyServer, find_valkey

BEFORE: list[TResponseInputItem] = [{"role": "user", "content": "before"}]


@pytest.fixture
async def url(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        if kind == "sqlite":
            yield f"sqlite:///{tmp_path / 'sessions.db'}"
            return
        if find_valkey() is None:
            pytest.skip("there is no Valkey")
        yield (await stack.enter_async_context(ValkeyServer())).url


async def noted(ledger: Path, what: str, process: ForkedProcess) -> None:
    while not (ledger.exists() and any(line.startswith(what) for line in lines(ledger))):
        process.check()
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
    url: str, held: str, how: str, forked: Forks, tmp_path: Path
) -> None:
    async with connect(url, session_id="s") as session:
        await session.add_items(BEFORE)  # a session without a commit would go with its worker
    ledger = tmp_path / "ledger.txt"
    ledger.with_suffix(".holds").write_text(held)
    words = url, str(ledger), how
    first = forked.start(direct_turn, *words, environment={})
    await noted(ledger, held, first)
    if held == "two":  # its neighbour is to end first
        async with connect(url, session_id="s") as session:
            while (info := await session.info()) is None or info.journal_entries < 4:
                await asyncio.sleep(0.01)
    await first.kill()
    ledger.with_suffix(".holds").write_text("")
    second = forked.start(direct_turn, *words, environment={})
    assert (await second.ended(), second.log().strip()) == (0, "done")
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
