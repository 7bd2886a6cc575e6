"""A worker dies in an approved tool: what others get meanwhile, and how the turn is resumed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.integration.approval_process import agent_of
from tests.integration.background_lab import echo, output, working
from tests.integration.durable_process import LEASE, Book
from tests.integration.forked import ForkedProcess, Forks, resumed_turn
from tests.integration.test_approval_processes import WHOLE, ask, pending, printed, ran, url
from tests.scripted import outline
from turnwise import NoPendingApproval, Runner, connect
from turnwise.durable.calls import OUTCOME_UNKNOWN
from turnwise.errors import ApprovalPending, SessionBusy
from turnwise.session import Session
from turnwise.turns.approval_timeout import NOT_APPROVED

__all__ = ["url"]  # the fixture


async def held_resume(session: Session, forked: Forks, url: str, ledger: Path) -> ForkedProcess:
    """Another process that has approved all, and stays in `pay`."""
    ledger.with_suffix(".holds").write_text("pay")
    words = url, str(ledger), *await pending(session)
    process = forked.start(resumed_turn, *words, environment={})
    while not ran(ledger)["pay"]:
        process.check()
        await asyncio.sleep(0.01)
    ledger.with_suffix(".holds").unlink()
    return process


async def test_everybody_gets_a_clear_answer_until_the_next_resume(
    url: str, forked: Forks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.txt"
    await ask(url, ledger)
    async with connect(url, session_id="s", lease=LEASE) as session:
        process = await held_resume(session, forked, url, ledger)
        with pytest.raises(SessionBusy):
            await Runner.run(agent_of(Book(ledger)), "go", session=session, busy="reject")
        await process.kill()
        for turn_id, said in (("t", "go"), ("other", "else")):
            with pytest.raises(ApprovalPending, match=r"Runner\.resume takes the decisions"):
                await Runner.run(agent_of(Book(ledger)), said, session=session, turn_id=turn_id)
        assert await session.pending_approvals() == []  # all is decided
        before = ran(ledger)
        async with working(session, echo()):
            later = await session.submit("s", "later", agent="echo")
            with pytest.raises(ApprovalPending):
                await Runner.run(agent_of(Book(ledger)), "go", session=session, turn_id="t")
            assert (await later.status()).state == "queued"
            assert ran(ledger) == before
            result = await Runner.resume(agent_of(Book(ledger)), session=session)
            assert result.final_output == "done"
            assert await output(later) == "re: later"
        with pytest.raises(NoPendingApproval):
            await Runner.resume(agent_of(Book(ledger)), session=session)
        again = await Runner.run(agent_of(Book(ledger)), "go", session=session, turn_id="t")
        assert again.final_output == "done"
        history = outline(await session.get_items())
    # Nobody knows how far the tool beside the one that was waited for had come.
    history = [x.replace(f"of_send: {OUTCOME_UNKNOWN}", "of_send: send") for x in history]
    expected = [x.replace("of_pay: pay", f"of_pay: {OUTCOME_UNKNOWN}") for x in WHOLE]
    assert history == [*expected, "later", "re: later"]
    assert (ran(ledger)["look"], ran(ledger)["pay"], ran(ledger)["model-m-2"]) == (1, 1, 1)
    assert ran(ledger)["send"] <= 1


async def test_a_turn_of_a_dead_resume_can_be_cancelled(
    url: str, forked: Forks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.txt"
    await ask(url, ledger)
    async with connect(url, session_id="s", lease=LEASE) as session:
        await (await held_resume(session, forked, url, ledger)).kill()
        assert (await session.cancel("s")).outcome in ("dropped", "forced")
        with pytest.raises(NoPendingApproval):
            await Runner.resume(agent_of(Book(ledger)), session=session)
        assert await session.get_items() == []


async def test_what_nobody_approved_in_time_is_ended_by_another_process(
    url: str, forked: Forks, tmp_path: Path
) -> None:
    """Whoever set the time has gone; who resumes too late runs nothing."""
    ledger = tmp_path / "ledger.txt"
    async with connect(url, session_id="s", approval_timeout=0) as asking:
        await Runner.run(agent_of(Book(ledger)), "go", session=asking, turn_id="t")
    async with connect(url, session_id="s") as session:
        assert await pending(session) == []
        process = forked.start(resumed_turn, url, str(ledger), "any", environment={})
        assert await printed(process) == "NoPendingApproval"
        await session.add_items([{"role": "user", "content": "later"}])
        assert outline(await session.get_items()) == [
            *WHOLE[:5],
            f"output of_pay: {NOT_APPROVED}",
            f"output of_send: {NOT_APPROVED}",
            "later",
        ]
    assert (ran(ledger)["pay"], ran(ledger)["send"]) == (0, 0)
