"""The picture of the chat page: a conversation in which a refund waits for a decision."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from agents import Agent, function_tool
from agents.testing import ScriptedModel, assistant_message, function_call
from playwright.async_api import Browser, Page, ViewportSize, expect

from turnwise import Worker, connect
from turnwise.http import Gateway
from turnwise.http.replica import Replica
from turnwise.http.serve import serve

_ASKED = ("Is there a lounge in Denver?", "May I bring a cello as cabin baggage?")
_FOUND = """Reservation **MZDDS4** is one passenger in economy, with travel insurance:

```
HAT204  DEN → JFK  May 23  06:00
HAT063  JFK → DEN  May 26  19:00
```

It can be cancelled, and the fare of $421 goes back to the card that paid it."""


def _agents() -> list[Agent[Any]]:
    @function_tool
    def reservation(reservation_id: str) -> str:
        return f"{reservation_id}: economy, insured, $421"

    @function_tool(needs_approval=True)
    def refund(reservation_id: str, amount: int) -> str:
        return f"{reservation_id}: ${amount}"

    found, asks = (
        function_call("reservation", '{"reservation_id": "MZDDS4"}', call_id="call-1"),
        function_call("refund", '{"reservation_id": "MZDDS4", "amount": 421}', call_id="call-2"),
    )
    replies: list[Any] = [
        *(
            [assistant_message(text)]
            for text in ("Yes, at gate B44.", "Yes, on a seat of its own.")
        ),
        *([found], [assistant_message(_FOUND)], [asks]),
    ]
    support = Agent(name="support", model=ScriptedModel(replies), tools=[reservation, refund])
    return [support, Agent(name="seats")]


@asynccontextmanager
async def _served() -> AsyncIterator[str]:
    """The address of a server."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    with tempfile.TemporaryDirectory(prefix="turnwise-screenshots-") as folder:
        async with connect(f"sqlite:///{folder}/sessions.db") as session:
            agents = _agents()
            replica = Replica(Gateway(session, agents), Worker(session, agents))
            serving = asyncio.create_task(
                serve(replica, "127.0.0.1", 0, signals=False, on_ready=ready.set_result)
            )
            try:
                yield await ready
            finally:
                replica.stop()
                await serving


async def take_chat(browser: Browser, file: Path, size: ViewportSize) -> None:
    """Chat a little, and take the picture."""
    async with _served() as address:
        page = await browser.new_page(viewport=size)
        for text in _ASKED:
            await page.goto(address)
            await _say(page, text)
            await expect(page.locator(".turn")).to_have_attribute("data-state", "committed")
        await page.goto(address)
        await _say(page, "What is booked as MZDDS4, and can it be cancelled?")
        await expect(page.locator(".turn")).to_have_attribute("data-state", "committed")
        await _say(page, "Then cancel it, please.")
        await expect(page.locator(".approval")).to_be_visible()
        await page.evaluate("document.getElementById('conversation').scrollTo(0, 1e6)")
        await page.screenshot(path=file)
        await page.close()


async def _say(page: Page, text: str) -> None:
    await page.get_by_label("Message", exact=True).fill(text)
    await page.keyboard.press("Enter")
