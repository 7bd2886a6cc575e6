"""The task of a message or a resumption is cancelled at any await: the next worker finishes it."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.integration.approval_lab import Clerk, asks
from tests.integration.cancelled_tasks import Blow, struck
from tests.integration.fault_lab import LONG, assert_free, other_tasks
from tests.scripted import outline, says
from turnwise import MemorySession, Runner, SQLiteSession
from turnwise.background import Policy
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

# The SDK makes that coroutine before it awaits something else.
pytestmark = pytest.mark.filterwarnings(
    "ignore:coroutine 'run_single_turn' was never awaited:RuntimeWarning"
)

POLICY = Policy(backoff=0.001, max_attempts=100)
Work = Callable[[Clerk, str], Coroutine[Any, Any, Any]]


@pytest_asyncio.fixture(params=["memory", "sqlite"])
async def session(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Session]:
    kinds: dict[str, Callable[[], Session]] = {
        "memory": MemorySession,
        "sqlite": lambda: SQLiteSession(tmp_path / "sessions.db"),
    }
    async with kinds[request.param]() as session:
        yield session
    gc.collect()  # what the SDK left is warned of here, not in somebody else's test


@pytest.fixture(params=["early", "late", "twice"])
def blow(request: pytest.FixtureRequest) -> Blow:
    kind: Blow = request.param
    return kind


async def at_every_await(
    session: Session, blow: Blow, before: Work, work: Work, after: Work, tools: list[str]
) -> None:
    """Strike `work` at each of its awaits; `after` it turn t is whole, and no tool ran twice."""
    tasks = other_tasks()

    async def alone() -> bool:
        return other_tasks() == tasks

    for at in count(1):
        name, clerk = f"{blow}-{at}", Clerk()
        await before(clerk, name)
        was_struck = await struck(work(clerk, name), at, blow)
        await asyncio.wait_for(after(clerk, name), LONG)
        await until(alone, LONG, "nothing ran any more")
        assert (await session.status(name, "t")).state == "committed", at
        said = outline(await session.bind(name).get_items())
        assert [said[0], said[-1], len(said)] == ["go", "done", 2 + 2 * len(tools)], at
        assert all(clerk.ran[tool] <= 1 for tool in tools), at
        await assert_free(session, name)  # type: ignore[arg-type]  # any of them will do
        if not was_struck:
            break
    assert at > 1
    assert clerk.ran == dict.fromkeys(tools, 1)


async def nothing(_: Clerk, __: str) -> None:
    """A session that is not there yet."""


def replying(clerk: Clerk, *steps: str) -> Any:
    """An agent that goes on from where its history stands."""

    def reply(given: list[Any]) -> Any:
        made = sum(item.get("type") == "function_call" for item in given if isinstance(item, dict))
        return asks(steps[made]) if made < len(steps) else says("done")

    return clerk.agent(reply)


async def test_submitting(session: Session, blow: Blow) -> None:
    async def submit(_: Clerk, name: str) -> None:
        await session.submit(name, "go", agent="clerk", turn_id="t")

    async def send_again(clerk: Clerk, name: str) -> None:
        await submit(clerk, name)
        assert await session.drain(name, replying(clerk), POLICY) == 1

    await at_every_await(session, blow, nothing, submit, send_again, [])


async def test_draining(session: Session, blow: Blow) -> None:
    async def submit(_: Clerk, name: str) -> None:
        await session.submit(name, "go", agent="clerk", turn_id="t")

    async def drain(clerk: Clerk, name: str) -> None:
        await session.drain(name, replying(clerk, "look"), POLICY)

    await at_every_await(session, blow, submit, drain, drain, ["look"])


async def test_resuming(session: Session, blow: Blow) -> None:
    async def ask(clerk: Clerk, name: str) -> None:
        helper = replying(clerk, "pay")
        await Runner.run(helper, "go", session=session, session_id=name, turn_id="t")

    async def resume(clerk: Clerk, name: str) -> None:
        ids = [asked.id for asked in await session.pending_approvals(name)]
        helper = replying(clerk, "pay")
        await Runner.resume(helper, session=session, session_id=name, approve=ids)

    async def resume_if_it_waits(clerk: Clerk, name: str) -> None:
        if (await session.status(name, "t")).state != "committed":
            await resume(clerk, name)

    await at_every_await(session, blow, ask, resume, resume_if_it_waits, ["pay"])


async def test_leaving_it_to_a_worker(session: Session, blow: Blow) -> None:
    """Its sender waits for the answer of a message, which others drain."""
    over = asyncio.Event()
    holders: list[asyncio.Task[None]] = []

    async def hold(clerk: Clerk, name: str) -> None:
        async def wanted() -> bool:
            info = await session.info(name)
            return over.is_set() or (info is not None and info.queued > 0)

        async def holding() -> None:
            async with session.turn(name):
                begun.set()
                await until(wanted, LONG, "a message waited")
            await session.drain(name, replying(clerk, "look"), POLICY)

        begun = asyncio.Event()
        over.clear()
        holders.append(asyncio.create_task(holding()))
        await begun.wait()

    async def run(clerk: Clerk, name: str) -> None:
        try:
            await Runner.run(
                replying(clerk, "look"),
                "go",
                session=session,
                session_id=name,
                turn_id="t",
                busy="enqueue",
            )
        finally:
            over.set()

    async def run_again(clerk: Clerk, name: str) -> None:
        await holders.pop()
        await run(clerk, name)

    await at_every_await(session, blow, hold, run, run_again, ["look"])
