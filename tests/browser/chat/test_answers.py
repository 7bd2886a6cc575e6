"""An answer on the chat page in a real browser: how it comes, and how it is shown."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, at, field, say, shows, turn
from tests.browser.conftest import HOSTILE
from tests.browser.looking import looking
from tests.http.wire_lab import Lab, word

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_comes_word_by_word_and_tools_are_folded(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    gloom, slow = word(), word()
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"weather {gloom}")
        tool = page.locator("details.tool")
        await expect(tool.locator("summary")).to_have_text("weather requested")
        await expect(page.get_by_role("status")).to_have_text("Answering …")
        assert await tool.get_attribute("open") is None
        lab.go(gloom)
        await answered(page, 0, f"It is sunny in {gloom.lower()}.")
        await expect(tool.locator("summary")).to_have_text("weather done")
        await tool.locator("summary").click()
        await expect(tool).to_contain_text(f'"city": "{gloom}"')
        await expect(tool.locator(".output")).to_have_text(f"sunny in {gloom.lower()}")
        await say(page, f"think first {slow} last")
        await expect(turn(page, 1).locator(".said.assistant")).to_have_text("first")
        lab.go(slow)
        await answered(page, 1, f"first {slow} last")
        await expect(turn(page, 1).locator(".thought pre")).to_have_text("well well")
        await expect(page.get_by_role("status")).to_have_text("")
        said = (
            *(f"weather {gloom}", "Let me see.", f"It is sunny in {gloom.lower()}."),
            *(f"think first {slow} last", f"first {slow} last"),
        )
        await shows(page, *said)
        await page.reload()
        await answered(page, 1, f"first {slow} last")
        await shows(page, *said)
        await expect(page.locator("details.tool summary")).to_have_text("weather done")
        await expect(page.locator(".thought pre")).to_have_text("well well")


async def test_one_chooses_who_answers(browser: Browser, address: str) -> None:
    async with looking(browser) as page:
        await page.goto(address)
        agent = page.get_by_label("Agent")
        await expect(agent.locator("option")).to_have_text(["helper", "parrot"])
        await agent.select_option("parrot")
        await say(page, "hello")
        await answered(page, 0, "hello, hello!")
        await expect(page.locator(".agent")).to_have_text("parrot")
        await page.reload()
        await expect(agent).to_have_value("parrot")


async def test_a_failed_message_says_so(browser: Browser, address: str, name: str) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, "break")
        await expect(turn(page, 0)).to_have_attribute("data-state", "dead")
        await expect(page.locator(".note")).to_contain_text("the log of its worker says why.")
        await expect(page.locator("body")).not_to_contain_text("secret of the server")
        await say(page, "x" * (5 << 20))
        await expect(page.get_by_role("alert").first).to_contain_text("4194304 bytes")
        await expect(page.locator(".turn")).to_have_count(1)


async def test_text_is_text(browser: Browser, address: str, name: str) -> None:
    said = f"{HOSTILE} **bold** `a<b>c`\n\nnext\n```html\n<b>code</b>\n```\nend"
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await field(page).fill(said)
        await page.get_by_role("button", name="Send").click()
        await expect(turn(page, 0)).to_have_attribute("data-state", "committed")
        for place in (".said.user", ".said.assistant"):
            found = page.locator(place)
            await expect(found.locator("p")).to_have_text([f"{HOSTILE} bold a<b>c", "next", "end"])
            await expect(found.locator("strong")).to_have_text("bold")
            await expect(found.locator("pre code")).to_have_text("<b>code</b>")
        assert await page.locator("main img, main script").count() == 0
        assert await page.title() != "pwned"
        await page.reload()
        await expect(page.locator(".said.assistant pre code")).to_have_text("<b>code</b>")
