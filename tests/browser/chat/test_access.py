"""Who may use the chat page, how much, and what may run on it."""

from __future__ import annotations

import httpx
import pytest
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, at, say
from tests.browser.looking import check_accessible, looking, tabs
from tests.http.wire_lab import Lab, word
from turnwise.fleet.api_keys import ApiKeys

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_who_asks_too_much_waits(browser: Browser, alone: Lab, name: str) -> None:
    slow = word()
    address = (await alone.serve("--quota", "tests.browser.chat.page_agents:one_stream")).url
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        await say(page, f"a {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("a")
        await other.goto(at(address, name))
        await expect(other.get_by_role("status")).to_contain_text("Too much at once")
        alone.go(slow)
        for tab in (page, other):
            await answered(tab, 0, f"a {slow}")
            await expect(tab.get_by_role("status")).to_have_text("")


async def test_a_key_is_asked_for_and_kept_in_the_tab(browser: Browser, alone: Lab) -> None:
    secret, _ = await ApiKeys(alone.session.runtime).create("alice")
    address = (await alone.serve("--auth", "keys")).url
    async with looking(browser) as page:
        await page.goto(address)
        key = page.get_by_label("Key")
        await key.fill("tw_0123456789abcdef_wrong")
        await key.press("Enter")
        await expect(page.get_by_role("alert").last).to_have_text(
            "The server does not know this key."
        )
        await check_accessible(page)
        await key.fill(secret)
        await key.press("Enter")
        await expect(key).to_be_hidden()
        await say(page, "hello")
        await answered(page, 0, "hello")
        assert secret not in page.url
        await page.reload()
        await answered(page, 0, "hello")
        (found,) = (await alone.session.sessions(owner="alice")).sessions
        assert found.session_id in page.url
        assert await page.evaluate("localStorage.length") == 0
        await page.get_by_role("button", name="Forget the key").click()
        await expect(key).to_be_visible()


async def test_only_the_page_s_own_files_run(address: str) -> None:
    async with httpx.AsyncClient(base_url=address) as client:
        for path in ("/", "/page/chat.js", "/page/style.css", "/page/icon.svg"):
            answer = await client.get(path)
            assert answer.status_code == 200
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
        page = (await client.get("/")).text
        assert "style=" not in page
        assert "onclick" not in page
