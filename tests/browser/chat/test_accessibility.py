"""The chat page by the keyboard alone, and what axe says of it."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, at, field, say, turn
from tests.browser.looking import check_accessible, looking
from tests.http.wire_lab import Lab, word

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_keyboard_is_enough(browser: Browser, address: str, name: str) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        # A browser gives a field the focus that it asks for with a later frame than the load.
        await expect(field(page)).to_be_focused()
        await page.keyboard.type("weather Oslo")
        await page.keyboard.press("Shift+Enter")
        await page.keyboard.press("Enter")
        await answered(page, 0, "It is sunny in oslo.")
        await page.keyboard.type("refund A-1")
        await page.keyboard.press("Enter")
        await expect(page.locator(".approval")).to_be_visible()
        for _ in range(30):
            await page.keyboard.press("Shift+Tab")
            if await page.evaluate("document.activeElement.textContent") == "Approve":
                break
        await expect(page.get_by_role("button", name="Approve")).to_be_focused()
        await page.keyboard.press("Enter")
        await answered(page, 1, "It is refunded A-1.")


async def test_axe_finds_nothing_serious(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(address)
        await expect(page.get_by_text("Write a message to begin.")).to_be_visible()
        await check_accessible(page)
        await page.get_by_role("button", name="Conversations").click()
        await expect(page.get_by_role("navigation")).to_be_visible()
        await check_accessible(page)
        await page.goto(at(address, name))
        await say(page, "think weather")
        await say(page, "weather Oslo Bergen")
        await answered(page, 1, "It is sunny in oslo and sunny in bergen.")
        await page.locator("details.tool summary").first.click()
        await say(page, "break")
        await say(page, "refund A-1")
        await expect(page.locator(".approval")).to_be_visible()
        await say(page, "behind")
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await check_accessible(page)
        await page.keyboard.press("Escape")
        await page.get_by_role("button", name="Stop").click()
        await say(page, f"it is {slow}")
        await expect(page.locator(".said.assistant").last).to_have_text("it is")
        await check_accessible(page)
        lab.go(slow)
