"""What a user does on the chat page, and sees there."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote

from playwright.async_api import Locator, Page, Route, expect


def at(address: str, name: str) -> str:
    """The address of a conversation."""
    return f"{address}/?session={quote(name, safe='')}"


def field(page: Page) -> Locator:
    """Where a message is written."""
    return page.get_by_label("Message", exact=True)


async def say(page: Page, text: str) -> None:
    await field(page).fill(text)
    await field(page).press("Enter")


def turn(page: Page, number: int) -> Locator:
    return page.locator(".turn").nth(number)


async def answered(page: Page, number: int, text: str) -> None:
    """Wait until the turn has ended with this answer."""
    await expect(turn(page, number).locator(".said.assistant").last).to_have_text(text)
    await expect(turn(page, number)).to_have_attribute("data-state", "committed")


async def shows(page: Page, *texts: str) -> None:
    """Wait until this is all that was said, in order."""
    await expect(page.locator(".said")).to_have_text(texts)


def message_of(route: Route) -> str:
    """What a request on its way says to the agent."""
    body: Any = route.request.post_data_json
    return str(body["message"])


async def hold(page: Page, text: str, go: asyncio.Event) -> None:
    """Keep this message on its way until `go`."""

    async def wait(route: Route) -> None:
        if message_of(route) == text:
            await go.wait()
        await route.continue_()

    await page.route("**/chat", wait)
