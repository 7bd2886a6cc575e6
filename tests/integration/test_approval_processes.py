"""Approvals decided in other processes than those that parked the turn; some of them are killed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.approval_process import agent_of
from tests.integration.durable_process import Book
from tests.integration.forked import ForkedProcess, Forks, resumed_turn
from tests.scripted import outline
from turnwise import Runner, connect
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.testing.servers import ValkeyServer, find_valkey

WHOLE = [
    "go",
    "call of_look",
    "output of_look: look",
    "call of_pay",
    "call of_send",
    "output of_pay: pay",
    "output of_send: send",
    "done",
]


@pytest.fixture(params=["valkey", "sqlite"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        if request.param == "sqlite":
            yield f"sqlite:///{tmp_path / 'sessions.db'}"
            return
        if find_valkey() is None:
            pytest.skip("there is no Valkey")
        yield (await stack.enter_async_context(ValkeyServer())).url


async def ask(url: str, ledger: Path) -> None:
    async with connect(url, session_id="s") as session:
        result = await Runner.run(agent_of(Book(ledger)), "go", session=session, turn_id="t")
        assert len(result.interruptions) == 2


async def printed(process: ForkedProcess) -> str:
    await process.ended()
    return process.log().strip()


def ran(ledger: Path) -> Counter[str]:
    """How often each tool and each model call began."""
    return Counter(line.split()[0] for line in ledger.read_text().splitlines())


async def pending(session: Any) -> list[str]:
    return [asked.id for asked in await session.pending_approvals()]


async def test_two_processes_that_resume_at_once_run_the_tools_once(
    url: str, forked: Forks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.txt"
    await ask(url, ledger)
    async with connect(url, session_id="s") as session:
        ids = await pending(session)
        words = url, str(ledger), *ids
        both = [forked.start(resumed_turn, *words, environment={}) for _ in range(2)]
        assert sorted([await printed(one) for one in both]) == ["NoPendingApproval", "done"]
        assert outline(await session.get_items()) == WHOLE
    assert ran(ledger) == Counter(["look", "pay", "send", "model-m-0", "model-m-1", "model-m-2"])


@pytest.mark.parametrize("held", ["pay", "model-m-2"])
async def test_a_resume_whose_worker_is_killed_goes_on_with_the_next(
    url: str, held: str, forked: Forks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.txt"
    await ask(url, ledger)
    async with connect(url, session_id="s") as session:
        first, second = await pending(session)
        now, later = ([first], [second]) if held == "pay" else ([first, second], [])
        ledger.with_suffix(".holds").write_text(held)
        process = forked.start(resumed_turn, url, str(ledger), *now, environment={})
        while not ran(ledger)[held]:
            process.check()
            await asyncio.sleep(0.01)
        await process.kill()
        ledger.with_suffix(".holds").unlink()
        result = await Runner.resume(agent_of(Book(ledger)), session=session, approve=later)
        history = outline(await session.get_items())
    assert result.final_output == "done"
    done = ran(ledger)
    assert (done["look"], done["pay"], done["send"]) == (1, 1, 1)
    expected = [
        f"output of_pay: {OUTCOME_UNKNOWN}" if "t of_pay: " in x and later else x for x in WHOLE
    ]
    assert history == expected
