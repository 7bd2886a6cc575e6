"""The chat page in somebody's app, at a path of its own."""

from __future__ import annotations

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, say, shows
from tests.browser.looking import looking
from tests.http.wire_lab import Lab, word

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def host(lab: Lab) -> str:
    """The address of somebody's app."""
    return (await lab.server(app="tests.browser.chat.host_app:app")).url


@pytest.mark.parametrize("path", ["/assistant", "/help"])
async def test_it_works_at_a_path(
    browser: Browser, host: str, lab: Lab, name: str, path: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(host + path)
        await expect(page).to_have_url(f"{host}{path}/")
        await expect(page.get_by_text("Write a message to begin.")).to_be_visible()  # by its script
        await expect(page.locator("body > header")).to_have_css("display", "flex")  # by its style
        await say(page, f"first {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("first")
        await page.reload()
        await expect(page.locator(".said.assistant")).to_have_text("first")
        lab.go(slow)
        await answered(page, 0, f"first {slow}")
        await page.reload()
        await shows(page, f"first {slow}", f"first {slow}")
        await page.get_by_role("link", name="New conversation").click()
        await expect(page).to_have_url(f"{host}{path}/")
        await say(page, name)
        await answered(page, 0, name)
        await page.get_by_role("link", name=f"first {slow}").click()
        await shows(page, f"first {slow}", f"first {slow}")
        await page.get_by_role("link", name=name).click()
        await shows(page, name, name)
        assert page.url.startswith(f"{host}{path}/?session=")
