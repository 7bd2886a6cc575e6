"""A turn that an operator takes from its worker is continued by another one."""

from __future__ import annotations

import asyncio
import shlex
from pathlib import Path

import pytest

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo, output, working
from tests.integration.fault_lab import AnySession, message
from tests.integration.test_cli import invoked, lines
from turnwise import Runner, StuckSession, connect
from turnwise.fleet import stuck as search
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_another_worker_continues_what_a_hung_one_had(
    session: AnySession, another: AnySession
) -> None:
    began, lost = asyncio.Event(), asyncio.Event()

    async def hang(_: str) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            lost.set()

    receipt = await session.submit("s", "hi", agent="echo", turn_id="t")
    async with working(session, echo(hang)) as hung:
        await began.wait()
        hung.stop()  # so that it does not take the message again
        async with working(another, echo()):
            assert await another.release("s", "t", reason="hangs", by="anna") == "released"
            assert await output(receipt) == "re: hi"
        await lost.wait()
    assert (await receipt.status()).state == "committed"
    (record,) = await session.audit()
    assert (record.action, record.target, record.outcome) == ("release", "t", "released")


async def test_what_nobody_holds_is_left_as_it_is(session: AnySession) -> None:
    assert await session.release("s") == "absent"
    await session.submit("s", "hi", agent="echo", turn_id="t")
    assert await session.release("s", "t") == "absent"
    await session.drain("s", [echo()])
    assert await session.release("s", "t") == "absent"
    bound, clerk = session.bind("p"), Clerk()
    await waiting(bound, clerk, "pay")
    assert await bound.release() == "parked"
    assert len(await bound.pending_approvals()) == 1
    outcomes = [record.outcome for record in await session.audit()]
    assert outcomes == ["parked", "absent", "absent", "absent"]


async def test_a_direct_turn_is_continued_by_its_sender(session: AnySession) -> None:
    store = session.runtime.store
    await session.bind("s").add_items([message("hi")])
    await store.begin("s", "t", "token", 600_000, worker="hangs")
    assert await session.release("s", "t") == "released"
    helper = echo()
    result = await Runner.run(helper, "one", session=session, session_id="s", turn_id="t")
    assert result.final_output == "re: one"


async def test_the_command(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        store = session.runtime.store
        await session.submit("s", "hi", agent="echo", turn_id="t")
        await store.next("s", "token", 600_000, worker="hangs")
        refused = await invoked(url, "turns", "release", "s")
        assert (refused.exit_code, "Release the open turn of session s?" in refused.stderr) == (
            *(1, True),
        )
        for verb, done in (("release", "released"), ("cancel", "cancelled")):
            dry = await lines(url, "turns", verb, "s", "t", "--dry-run")
            assert dry == [f"would be {done}: t"]
        assert await lines(url, "turns", "release", "s", "t", "--yes") == ["released: t"]
        assert await session.drain("s", [echo()]) == 1
        again = await invoked(url, "turns", "release", "s", "t", "--yes")
        assert again.exit_code == 1
        assert "it has no such open turn" in again.output + str(again.exception)


async def quickly(session: Session) -> list[StuckSession]:
    return [each async for each in session.stuck(quick=True)]


async def test_a_quick_look_finds_what_waits_for_workers(
    session: AnySession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0.0)
    assert await quickly(session) == []
    for name in ("s1", "s2", "other"):
        await session.submit(name, "hi", agent="echo")
    await session.bind("idle").add_items([message("hi")])
    await waiting(session.bind("parked"), Clerk(), "pay")

    async def are_found() -> bool:
        return {each.session_id for each in await quickly(session)} == {"s1", "s2", "other"}

    await until(are_found, 30, "all of them")
    assert {each.state for each in await quickly(session)} == {"queued"}
    some = {each.session_id async for each in session.stuck("s*", quick=True)}
    assert some == {"s1", "s2"}
    everywhere = {each.session_id async for each in session.stuck()}
    assert everywhere == {"s1", "s2", "other", "parked"}


async def test_what_is_paused_is_told_with_the_command_that_resumes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0.0)
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        name = "-it's odd-"
        await session.submit("s", "hi", agent=name)
        for agent, what in ((name, f"the agent {name!r} is"), (None, "all messages are")):
            await session.pause_queue(agent, reason="why", by="anna")

            async def is_found(what: str = what) -> bool:
                found = await quickly(session)
                return [f"{what} paused by anna (why)" in each.why for each in found] == [True]

            await until(is_found, 30, what)
            (found,) = await quickly(session)
            program, *words = shlex.split(found.remedy)
            assert program == "turnwise"
            await lines(url, *words)
            assert await session.pauses() == []
        shown = await invoked(url, "stuck")
        assert (shown.exit_code, "--all: everywhere" in shown.stderr) == (3, True)
        async with working(session, echo(name=name)):

            async def is_over() -> bool:
                return await quickly(session) == []

            await until(is_over, 30, "nothing is stuck")
