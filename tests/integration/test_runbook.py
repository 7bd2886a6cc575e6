"""Bad nights of docs/runbook.md: each is found by `turnwise stuck`, and ended by what it prints."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.background_lab import echo
from tests.integration.forked import ForkedProcess, Forks, direct_turn, forks
from tests.integration.night_lab import AGENTS, Night, are_alive, impatient, running, said
from tests.integration.programs import STARTED
from turnwise import Runner, connect
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        impatient(patch)
        yield


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Forks]:
    async with forks(tmp_path_factory.mktemp("processes")) as started:
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def night(
    server: ValkeyServer, processes: Forks, tmp_path_factory: pytest.TempPathFactory
) -> Night:
    return Night(server.url, tmp_path_factory.mktemp("night"), processes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def sessions(night: Night) -> AsyncIterator[Session]:
    async with connect(night.url) as session:
        yield session


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def workers(night: Night, sessions: Session) -> list[ForkedProcess]:
    """Two that are well. A message that fails once has failed for good; one agent is paused."""
    await night.obeyed("turnwise queue pause --agent held --reason 'ticket 4711' --by anna")
    options = "--lease", "600", "--on-dead", "stop", "--max-attempts", "1"
    started = [night.worker("old", *options) for _ in range(2)]
    await are_alive(sessions, *started)
    return started


async def test_a_worker_is_paused(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("paused", "wait for thaw", agent="echo", turn_id="t")
    name = await running(sessions, "paused", "t", workers)
    (pid,) = (each.pid for each in await sessions.workers() if each.name == name)
    (hung,) = (process for process in workers if process.pid == pid)
    hung.pause()
    try:
        stuck = await night.stuck("paused", "its worker has been silent for")
        assert (stuck["state"], stuck["worker"]) == ("running", name)
        assert stuck["remedy"] == "turnwise turns release paused t"
        night.put("thaw")
        assert await night.obeyed(stuck["remedy"]) == "released: t\n"
        assert await said(sessions, "paused", "t") == "re: wait for thaw"
    finally:
        hung.resume()
    await night.nothing_stuck("paused")
    await sessions.submit("paused", "hello", agent="echo", turn_id="t2")
    assert await said(sessions, "paused", "t2") == "re: hello"
    assert len(await sessions.bind("paused").get_items()) == 4  # it did not come back with its own


async def test_a_worker_is_killed_with_a_direct_turn(
    night: Night, sessions: Session, processes: Forks, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger"
    ledger.with_suffix(".holds").write_text("two")
    words = night.url, str(ledger), "plain"
    replica = processes.start(direct_turn, *words, environment={})

    async def is_in_the_tool() -> bool:
        replica.check()
        return ledger.exists() and "two " in ledger.read_text()

    await until(is_in_the_tool, STARTED, "the tool ran")
    await replica.kill()
    stuck = await night.stuck("s", "nobody holds its turn, and its sender did not", "--all")
    assert (stuck["state"], stuck["remedy"]) == ("dead", "turnwise turns cancel s t")
    assert await night.obeyed(stuck["remedy"]) == "dropped: t\n"
    await night.nothing_stuck("s")
    result = await Runner.run(echo(), "and now?", session=sessions, session_id="s")
    assert result.final_output == "re: and now?"


async def test_an_approval_is_forgotten(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("asked", "go", agent="a", turn_id="t")
    stuck = await night.stuck("asked", "it waits for approvals", "--all")
    assert stuck["state"] == "parked"
    shown = await night.obeyed(stuck["remedy"])
    commands = re.findall(r"turnwise approvals approve .*\S", shown)
    assert len(commands) == 2
    for command in commands:
        assert await night.obeyed(command) == f"approved: {command.split()[-1]}\n"
    assert await said(sessions, "asked", "t") == "done"
    await night.nothing_stuck("asked")


async def test_a_poison_message(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("poisoned", "fail until mended", agent="echo", turn_id="t")
    await sessions.submit("poisoned", "hello", agent="echo", turn_id="t2")
    stuck = await night.stuck("poisoned", "its message failed for good", "--all")
    assert (stuck["state"], stuck["turn_id"]) == ("stopped", "t")
    assert stuck["remedy"] == "turnwise dead-letters retry stopped:poisoned"
    night.put("mended")
    assert await night.obeyed(stuck["remedy"]) == "retried: stopped:poisoned\n"
    assert await said(sessions, "poisoned", "t2") == "re: hello"
    assert await said(sessions, "poisoned", "t") == "re: fail until mended"
    await night.nothing_stuck("poisoned")


async def test_a_poison_message_that_nobody_can_mend(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("hopeless", "fail until doomsday", agent="echo", turn_id="t")
    await sessions.submit("hopeless", "hello", agent="echo", turn_id="t2")
    stuck = await night.stuck("hopeless", "its message failed for good", "--all")
    (instead,) = re.findall(r"turnwise dead-letters delete \S+", stuck["why"])
    assert await night.obeyed(instead) == "deleted: stopped:hopeless\n"
    assert await said(sessions, "hopeless", "t2") == "re: hello"
    await night.nothing_stuck("hopeless")


async def test_an_agent_is_unknown_after_a_deploy(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("deployed", "hello", agent="echo-2", turn_id="t")
    stuck = await night.stuck("deployed", "no worker knows the agent 'echo-2'")
    told, _, command = stuck["remedy"].partition(": ")
    assert told == "start a worker that knows it"
    newer = night.program(*words_of(command, "new"))
    await are_alive(sessions, newer)
    assert await said(sessions, "deployed", "t") == "re: hello"
    await night.nothing_stuck("deployed")
    await newer.terminate()


async def test_a_queue_is_paused(
    night: Night, sessions: Session, workers: list[ForkedProcess]
) -> None:
    await sessions.submit("held", "hello", agent="held", turn_id="t")
    stuck = await night.stuck("held", "the agent 'held' is paused by anna (ticket 4711)")
    assert stuck["remedy"] == "turnwise queue resume --agent=held"
    assert await night.obeyed(stuck["remedy"]) == "resumed: messages for agent held\n"
    assert await said(sessions, "held", "t") == "re: hello"
    await night.nothing_stuck("held")


async def test_a_hot_session_keeps_others_waiting(night: Night, sessions: Session) -> None:
    busy = night.worker("hot", "--concurrency", "1")
    await are_alive(sessions, busy)
    await sessions.submit("hot", "wait for calm", agent="hot", turn_id="t0")
    await running(sessions, "hot", "t0", [busy])
    for number in range(1, 20):
        await sessions.submit("hot", "hello", agent="hot", turn_id=f"t{number}")
    await sessions.submit("cold", "hello", agent="hot", turn_id="t")
    stuck = await night.stuck("cold", "all that know its agent are busy")
    told, _, command = stuck["remedy"].partition(": ")
    assert told == "start another one"
    (longest, *_) = json.loads(await night.obeyed("turnwise queue list -o json"))
    assert (longest["session_id"], longest["queued"]) == ("hot", 20)
    another = night.program(*words_of(command, "hot"))
    await are_alive(sessions, another)
    assert await said(sessions, "cold", "t") == "re: hello"
    assert (await sessions.status("hot", "t0")).state == "running"
    night.put("calm")
    assert await said(sessions, "hot", "t19") == "re: hello"
    await night.nothing_stuck("hot")
    await night.nothing_stuck("cold")
    for process in busy, another:
        await process.terminate()


def words_of(command: str, agents: str) -> list[str]:
    """What somebody types who puts their own agents in its place."""
    program, *words = shlex.split(command)
    assert (program, words) == ("turnwise", ["worker", "MODULE:NAME"])
    return ["worker", f"{AGENTS}:{agents}"]
