"""Makes the pictures of the dashboard and of the chat page for the documents.

python -m demo.screenshots [--folder docs/images]
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

from agents import Agent, function_tool, set_tracing_disabled
from agents.testing import ScriptedModel, function_call
from playwright.async_api import Browser, ViewportSize

from demo.browser import chromium, find_chromium
from demo.chat_picture import take_chat
from demo.dashboard import dashboard_of
from demo.model import recorded_agent
from demo.recording import RecordedCall, RecordedTurn, Recording
from turnwise import Policy, Runner, Worker, connect
from turnwise.session import Session

_CONVERSATIONS = 40
_SIZE: ViewportSize = {"width": 1180, "height": 760}
_CHARTS = 14.0
"""Seconds until the charts have something to show."""
_LOOK = 0.5


class Workload:
    """A call takes a moment; the last call of some turns goes on until the pictures are made."""

    def __init__(self, kept: set[str]) -> None:
        self.kept = kept

    async def __call__(self, turn_id: str, call: RecordedCall) -> None:
        if turn_id in self.kept and call.output_index:
            await asyncio.Event().wait()
        await asyncio.sleep(0.4)


async def main(folder: Path, path: str) -> None:
    set_tracing_disabled(True)
    logging.getLogger("turnwise").setLevel(logging.CRITICAL)  # what fails here is meant to
    recording = Recording(_CONVERSATIONS)
    with tempfile.TemporaryDirectory(prefix="turnwise-screenshots-") as made:
        url = f"sqlite:///{made}/sessions.db"
        async with connect(url, worker="api-7f9c") as session:
            await _needs_a_person(session)
            async with (
                _served(url) as address,
                chromium(path) as browser,
                _working(session),
                _replaying(recording, session),
            ):
                await asyncio.sleep(_CHARTS)
                await _take(browser, address, folder / "dashboard-overview.png", "light")
                conversation = f"session?id=airline:{recording.conversations[0].id}"
                file = folder / "dashboard-session.png"
                await _take(browser, address + conversation, file, "dark")
                await take_chat(browser, folder / "chat-page.png", _SIZE)


async def _needs_a_person(session: Session) -> None:
    """A refund that waits for approval, messages that failed, and one that nobody answers."""

    @function_tool(needs_approval=True)
    def refund(reservation: str) -> str:
        return f"{reservation} is refunded"

    asks = [function_call("refund", '{"reservation": "MZDDS4"}', call_id="call-1")]
    clerk = Agent(name="refunds", model=ScriptedModel([asks]), tools=[refund])
    await Runner.run(clerk, "Refund MZDDS4, please", session=session, session_id="airline:refund")

    broken = Agent(name="seats", model=ScriptedModel([RuntimeError("seat map: 503")] * 9))
    receipts = [
        await session.submit(f"airline:seat-{number}", "A window seat, please", agent="seats")
        for number in range(3)
    ]
    worker = Worker(session, [broken], policy=Policy(max_attempts=1))
    running = asyncio.create_task(worker.run())
    for receipt in receipts:
        while not (await receipt.status()).finished:
            await asyncio.sleep(0.05)
    worker.stop()
    await running
    await session.submit("airline:lounge", "Is there a lounge?", agent="lounges")


@asynccontextmanager
async def _working(session: Session) -> AsyncIterator[None]:
    """A worker, which tells how the turns of this process go."""
    worker = Worker(session, [Agent(name="seats")])
    running = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await running


@asynccontextmanager
async def _served(url: str) -> AsyncIterator[str]:
    """The address of a dashboard in a process of its own."""
    told: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    async with dashboard_of(url, told.set_result):
        yield (await told).split()[-1]


@asynccontextmanager
async def _replaying(recording: Recording, session: Session) -> AsyncIterator[None]:
    """Conversations that go on during the block; some of their last turns do not end."""
    kept = {each.turns[-1].id for each in recording.conversations[::10]}
    agent = recorded_agent(recording, Workload(kept))
    limit = asyncio.Semaphore(8)

    async def replay(turns: tuple[RecordedTurn, ...]) -> None:
        for turn in turns:
            async with limit:
                await _run(agent, turn, session)

    tasks = [asyncio.create_task(replay(each.turns)) for each in recording.conversations]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _run(agent: Agent[RecordedTurn], turn: RecordedTurn, session: Session) -> None:
    await Runner.run(
        agent,
        turn.input,
        session=session,
        session_id=f"airline:{turn.conversation}",
        turn_id=turn.id,
        context=turn,
        max_turns=None,
    )


async def _take(
    browser: Browser, address: str, file: Path, scheme: Literal["light", "dark"]
) -> None:
    page = await browser.new_page(viewport=_SIZE, color_scheme=scheme)
    await page.goto(address)
    await page.wait_for_selector("#liveness:not([hidden])")
    await page.wait_for_timeout(_LOOK * 1000)
    file.parent.mkdir(parents=True, exist_ok=True)
    await page.screenshot(path=file)
    await page.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m demo.screenshots", description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("docs/images"))
    found = find_chromium()
    if found is None:
        sys.exit("There is no Chromium: apt-get install chromium")
    asyncio.run(main(parser.parse_args().folder, found))
