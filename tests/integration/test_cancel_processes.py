"""Turns of one process, ended by another one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.integration.bad_days import message
from tests.integration.cancel_process import LEASE
from tests.integration.programs import Programs, programs, ready
from tests.scripted import agent, outline, says
from turnwise import Runner, connect
from turnwise.errors import SessionBusy, TurnCancelled
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until
from turnwise.turns.stopped import INTERRUPTED

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEPT = ["Hi", "call c0", "output c0: quick is done", "call c1", "call c2"]
KEPT += ["output c1: quick is done", f"output c2: {INTERRUPTED}"]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server() -> AsyncIterator[ValkeyServer]:
    async with ValkeyServer() as server:
        yield server


@pytest_asyncio.fixture(loop_scope="module")
async def started(tmp_path: Path) -> AsyncIterator[Programs]:
    async with programs(tmp_path) as started:
        yield started


@pytest.fixture(params=["valkey", "sqlite"])
def url(request: pytest.FixtureRequest, server: ValkeyServer, tmp_path: Path) -> str:
    return server.url if request.param == "valkey" else f"sqlite:///{tmp_path}/sessions.db"


@pytest_asyncio.fixture(loop_scope="module")
async def session(url: str, tmp_path: Path) -> AsyncIterator[Session]:
    """As this process has it."""
    async with connect(url, session_id=tmp_path.name) as session:
        yield session


class Owner:
    """The process whose turn it is."""

    def __init__(self, started: Programs, url: str, folder: Path) -> None:
        self._started = started
        self._url = url
        self._folder = folder
        self.process: Process | None = None

    async def begin(self, how: str, lease: float = LEASE) -> None:
        """Return when its run is in the tool that does not end."""
        program = str(Path(__file__).with_name("cancel_process.py"))
        arguments = self._url, self._folder.name, str(self._folder), how, str(lease)
        self.process = self._started.python(
            program, *arguments, environment={"PYTHONPATH": str(Path(__file__).parents[2])}
        )
        await self._file("entered")

    async def ended(self) -> tuple[str, int]:
        """The error that its run ended with, and how often its model was asked."""
        await self._file("ended")
        error, asked = (self._folder / "ended").read_text().split()
        return error, int(asked)

    async def _file(self, name: str) -> None:
        async def there() -> bool:
            return (self._folder / name).exists()

        assert self.process is not None
        await ready(self.process, there, name)

    def go_on(self) -> None:
        assert self.process is not None
        self.process.resume()
        (self._folder / "over").touch()

    async def strike(self, how: str) -> None:
        assert self.process is not None
        if how == "paused":
            self.process.pause()
        elif how == "killed":
            await self.process.kill()


@pytest.fixture
def owner(started: Programs, url: str, tmp_path: Path) -> Owner:
    return Owner(started, url, tmp_path)


async def is_cancelled(session: Session) -> None:
    with pytest.raises(TurnCancelled):
        await Runner.run(agent(says("again")), "Hi", session=session, turn_id="t")


async def test_cancelled(owner: Owner, session: Session) -> None:
    await owner.begin("waits")
    found = await session.cancel()
    assert (found.outcome, found.turn_id, found.running_tools) == ("cancelled", "t", ())
    assert await owner.ended() == ("TurnCancelled", 2)
    assert await session.get_items() == []
    await is_cancelled(session)


async def test_refused_and_kept_waiting(owner: Owner, session: Session) -> None:
    await owner.begin("waits")
    desk = agent(says("yes"))
    with pytest.raises(SessionBusy):
        await Runner.run(desk, "now", session=session, busy="reject")
    waiting = asyncio.create_task(Runner.run(desk, "on", session=session, busy="wait"))

    async def in_line() -> bool:
        info = await session.info()
        return info is not None and info.queued == 1

    await until(in_line, 30.0, "it waits in line")
    assert (await session.cancel(turn_id="t")).outcome == "cancelled"
    assert (await waiting).final_output == "yes"
    assert outline(await session.get_items()) == ["on", "yes"]


async def test_interrupted(owner: Owner, session: Session) -> None:
    await owner.begin("waits")
    await Runner.run(agent(says("yes")), "stop", session=session, busy="interrupt")
    assert await owner.ended() == ("TurnCancelled", 2)
    assert outline(await session.get_items()) == [*KEPT, "stop", "yes"]
    await is_cancelled(session)


async def test_rolled_back(owner: Owner, session: Session) -> None:
    await owner.begin("waits")
    await Runner.run(agent(says("yes")), "stop", session=session, busy="rollback")
    assert await owner.ended() == ("TurnCancelled", 2)
    assert outline(await session.get_items()) == ["stop", "yes"]
    await is_cancelled(session)


@pytest.mark.parametrize("how", ["stalled", "paused", "killed"])
async def test_an_owner_that_does_not_answer(owner: Owner, session: Session, how: str) -> None:
    """What it does later is not committed, and it asks its model no more."""
    await owner.begin("stalls" if how == "stalled" else "waits")
    await owner.strike(how)
    found = await session.cancel(timeout=0.2)
    assert (found.outcome, found.running_tools) == ("forced", None)
    await Runner.run(agent(says("yes")), "on", session=session)
    if how != "killed":
        owner.go_on()
        assert await owner.ended() == ("LeaseLost", 2)
    assert outline(await session.get_items()) == ["on", "yes"]
    await is_cancelled(session)


@pytest.mark.parametrize("how", ["stalled", "paused"])
async def test_a_worker_that_lost_its_lease(owner: Owner, session: Session, how: str) -> None:
    """Its run is cancelled before its next model call, and commits nothing."""
    await session.add_items([message("before")])  # an empty session is gone when its turn is dead
    await owner.begin("stalls" if how == "stalled" else "waits", lease=0.5)
    await owner.strike(how)
    await Runner.run(agent(says("yes")), "on", session=session)
    owner.go_on()
    assert await owner.ended() == ("LeaseLost", 2)
    assert outline(await session.get_items()) == ["before", "on", "yes"]
