"""Sessions that do not go on by themselves: each is found, and goes on by what is printed."""

from __future__ import annotations

import json
import shlex
import sqlite3
from contextlib import closing
from typing import Any

import msgspec
import pytest
from redis.asyncio import Redis

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import echo, output, working
from tests.integration.fault_lab import message
from tests.integration.programs import STARTED
from tests.integration.test_cli import invoked
from tests.scripted import says
from turnwise import RedisSession, Runner, StuckSession, connect
from turnwise.background import Policy
from turnwise.fleet import stuck as search
from turnwise.fleet import workers as registry
from turnwise.fleet.stuck import command
from turnwise.session import Session
from turnwise.testing.servers.waiting import until


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "PATIENCE", 0.2)


async def found(session: Session, why: str) -> StuckSession:
    """The only stuck session, once it is stuck for this reason."""
    last: list[StuckSession] = []

    async def is_found() -> bool:
        last[:] = [each async for each in session.stuck()]
        return [why in each.why for each in last] == [True]

    await until(is_found, STARTED, f"{why!r} in {last}")
    return last[0]


async def shown(url: str) -> tuple[int, list[Any]]:
    result = await invoked(url, "stuck", "--all", "-o", "jsonl")
    return result.exit_code, [json.loads(line) for line in result.stdout.splitlines()]


async def obeyed(url: str, remedy: str, *more: str) -> str:
    """What the command prints that somebody was told to type."""
    program, *words = shlex.split(remedy)
    assert program == "turnwise"
    result = await invoked(url, *words, *more)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


async def cancelled(url: str, remedy: str) -> str:
    """The same for a cancel: nobody is asked."""
    program, noun, verb, *words = shlex.split(remedy)
    result = await invoked(url, noun, verb, "--yes", *words)
    assert (program, result.exit_code) == ("turnwise", 0), result.output
    return str(result.stdout)


async def test_nothing_is_stuck(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        async with session.turn("s"):
            assert await shown(fleet.url) == (0, [])
        assert await shown(fleet.url) == (0, [])


async def test_a_message_without_a_worker_and_with_none_that_knows_its_agent(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        receipt = await session.submit("s", "one", agent="echo", turn_id="t")
        stuck = await found(session, "nobody claims its message: there is no worker")
        assert (stuck.session_id, stuck.state, stuck.turn_id) == ("s", "queued", "t")
        assert stuck.agent == "echo"
        assert stuck.since is not None
        async with connect(fleet.url) as another, working(another, echo(name="other")):
            stuck = await found(session, "no worker knows the agent 'echo'")
            assert stuck.remedy.startswith("start a worker that knows it")

            async def is_shown() -> bool:  # while that worker tries it, it runs
                code, rows = await shown(fleet.url)
                return (code, [row["session_id"] for row in rows]) == (3, ["s"])

            await until(is_shown, STARTED, "exit code 3")
        async with working(session, echo()):
            assert await output(receipt) == "re: one"
        assert await shown(fleet.url) == (0, [])


async def test_a_worker_that_is_paused_and_one_that_is_killed(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with connect(fleet.url) as session:
        await session.submit("s", "slow", agent="echo", turn_id="t")
        process = fleet.worker(lease="600")
        await fleet.reached("said", process)
        (worker,) = await session.workers()
        assert [each async for each in session.stuck()] == []
        process.pause()
        monkeypatch.setattr(registry, "SILENT_AFTER", 0.5)
        stuck = await found(session, "its worker has been silent for")
        assert (stuck.state, stuck.worker, stuck.turn_id) == ("running", worker.name, "t")
        await process.kill()
        (quickly,) = [each async for each in session.stuck(quick=True)]
        assert (quickly.session_id, quickly.remedy) == ("s", stuck.remedy)
        how = "--yes", "--reason", "3 a.m."
        assert await obeyed(fleet.url, stuck.remedy, *how) == "released: t\n"
        async with working(session, echo()):
            assert await output(session.receipt("s", "t")) == "re: slow"
        assert await shown(fleet.url) == (0, [])


async def test_a_direct_turn_whose_worker_died(fleet: Fleet) -> None:
    async with connect(fleet.url) as session:
        await session.bind("-s").add_items([message("hi")])  # an empty one expires by itself
        await session.runtime.store.begin("-s", "t", "token", 200, worker="gone")
        await session.runtime.store.journal("-s", "t", "token", 0, [b"{}"])
        stuck = await found(session, "nobody holds its turn, and its sender did not come back")
        assert (stuck.state, stuck.worker) == ("dead", "gone")
        result = await invoked(fleet.url, *shlex.split(stuck.remedy)[1:])  # nobody says yes
        assert result.exit_code == 1
        assert (await session.status("-s", "t")).state == "running"
        assert await cancelled(fleet.url, stuck.remedy) == "dropped: t\n"
        assert await shown(fleet.url) == (0, [])


async def test_a_stopped_session_and_one_of_a_newer_version(fleet: Fleet) -> None:
    async def fail(message: str) -> None:
        raise RuntimeError("no such thing")

    async with connect(fleet.url) as session:
        await session.submit("s", "bad", agent="echo", turn_id="t")
        await session.drain("s", [echo(fail)], Policy(max_attempts=1, on_dead="stop"))
        stuck = await found(session, "its message failed for good")
        assert (stuck.state, stuck.turn_id) == ("stopped", "t")
        await obeyed(fleet.url, stuck.remedy)
        assert await session.drain("s", [echo()]) == 1
        assert await shown(fleet.url) == (0, [])
        await written_by_a_newer_version(fleet, session, "s")
        stuck = await found(session, "it was written in format 99 by a newer version")
        assert (stuck.session_id, stuck.state, stuck.turn_id) == ("s", "newer", "")
        assert stuck.remedy == "upgrade the workers and this command"
        code, (row,) = await shown(fleet.url)
        assert (code, row["state"]) == (3, "newer")


async def written_by_a_newer_version(fleet: Fleet, session: Session, session_id: str) -> None:
    header = msgspec.json.encode({"format": 99, "shape": [1]})
    if not isinstance(session, RedisSession):
        path = fleet.url.removeprefix("sqlite:///")
        with closing(sqlite3.connect(path, isolation_level=None)) as database:
            database.execute("UPDATE sessions SET header = ?", [header])
        return
    async with Redis.from_url(fleet.url) as client:
        await client.lset(session.key(session_id), 0, header.decode())


async def test_an_approval_that_is_rejected(fleet: Fleet) -> None:
    clerk = Clerk()
    async with connect(fleet.url) as session:
        await waiting(session.bind("s"), clerk, "pay", "send", turn_id="t")
        rows = [each async for each in session.waiting_approvals()]
        pay, send = (each.approval.id for each in rows)
        words = "approvals", "reject", "s", pay
        said = await invoked(fleet.url, *words, "--message", "Not this customer")
        assert said.stdout == f"rejected: {pay}\n"
        assert said.stderr == "in session s 1 still wait\n"
        assert [each.approval.id async for each in session.waiting_approvals()] == [send]
        again = await invoked(fleet.url, *words)
        assert (again.exit_code, len(again.output.splitlines())) == (1, 1)
        assert (await invoked(fleet.url, "approvals", "reject", "s", send)).exit_code == 0
        helper = clerk.agent(says("left"))
        await Runner.resume(helper, session=session.bind("s"))
        assert clerk.ran["pay"] == clerk.ran["send"] == 0
        outputs = [item.get("output") for item in await session.bind("s").get_items()]
        assert "Not this customer" in outputs


async def test_an_approval_that_was_forgotten(fleet: Fleet) -> None:
    clerk = Clerk()
    async with connect(fleet.url) as session:
        await waiting(session.bind("s"), clerk, "pay", turn_id="t")
        stuck = await found(session, "it waits for approvals")
        assert (stuck.state, stuck.turn_id) == ("parked", "t")
        assert stuck.since is not None
        (row,) = json.loads(await obeyed(fleet.url, stuck.remedy, "-o", "json"))
        assert (row["session_id"], row["since"]) == ("s", stuck.since)
        assert row["approval"]["tool_name"] == "pay"
        approval = row["approval"]["id"]
        said = await invoked(fleet.url, "approvals", "approve", "s", approval)
        assert (said.stdout, said.stderr) == (f"approved: {approval}\n", "")
        assert [each async for each in session.waiting_approvals()] == []
        await Runner.resume(clerk.agent(says("paid")), session=session.bind("s"))
        assert clerk.ran["pay"] == 1
        assert await shown(fleet.url) == (0, [])


def test_a_command_is_one_for_any_id() -> None:
    hostile = "a'b\n$(rm -rf /)\x1b\\"
    assert command(("turns", "cancel"), "s 1", "t") == "turnwise turns cancel 's 1' t"
    assert command(("turns", "cancel"), "--yes", "t") == "turnwise turns cancel -- --yes t"
    assert command(("turns", "cancel"), hostile) == (
        r"turnwise turns cancel $'a\x27b\x0a$(rm -rf /)\x1b\x5c'"
    )
