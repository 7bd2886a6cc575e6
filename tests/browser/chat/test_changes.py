"""What is taken back on the chat page: stopped, removed, edited and forked."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, at, field, hold, say, shows, turn
from tests.browser.looking import looking, tabs
from tests.http.wire_lab import Lab, word

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_an_answer_is_stopped_and_the_message_sent_again(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"so {slow} never")
        await expect(page.locator(".said.assistant")).to_have_text("so")
        await page.get_by_role("button", name="Stop").click()
        await expect(turn(page, 0)).to_have_attribute("data-state", "cancelled")
        await expect(page.locator(".note")).to_contain_text("not part of the conversation")
        await expect(page.get_by_role("button", name="Stop")).to_be_hidden()
        await page.get_by_role("button", name="Edit").click()
        await expect(field(page)).to_have_value(f"so {slow} never")
        await say(page, "so what")
        await answered(page, 0, "so what")
        await expect(page.locator(".turn")).to_have_count(1)
    history = await lab.session.history(name)
    assert history is not None
    assert [len(each.items) for each in history if each.items] == [2]


async def test_a_message_that_waits_is_removed(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    """Also one that is still on its way."""
    slow, go = word(), asyncio.Event()

    async with looking(browser) as page:
        await hold(page, "nor this", go)
        await page.goto(at(address, name))
        await say(page, f"a {slow}")
        async with page.expect_response("**/chat"):
            await say(page, "not this")
        await turn(page, 1).get_by_role("button", name="Remove").click()
        await expect(page.locator(".turn")).to_have_count(1)
        await say(page, "nor this")
        await turn(page, 1).get_by_role("button", name="Remove").click()
        go.set()
        await expect(page.locator(".turn")).to_have_count(1)
        lab.go(slow)
        await answered(page, 0, f"a {slow}")
    history = await lab.session.history(name)
    assert history is not None
    assert [each.kind for each in history if each.items] == ["turn"]


async def test_conversations_are_listed_and_forked(browser: Browser, alone: Lab) -> None:
    address = (await alone.serve()).url
    async with looking(browser) as page:
        await page.goto(address)
        await say(page, "the first")
        await answered(page, 0, "the first")
        await say(page, "the second")
        await answered(page, 1, "the second")
        listed = page.get_by_role("navigation").locator("li a")
        await expect(listed).to_have_count(1)
        await expect(page.get_by_role("heading", level=1)).to_have_text("the second")
        await turn(page, 0).get_by_role("button", name="Fork from here").click()
        await expect(page.locator(".turn")).to_have_count(1)
        await answered(page, 0, "the first")
        await say(page, "another")
        await answered(page, 1, "another")
        await expect(listed.locator(".name")).to_have_text(["another", "the second"])
        await listed.nth(1).click()
        await answered(page, 1, "the second")
        await page.get_by_role("link", name="New conversation").click()
        await expect(page.get_by_text("Write a message to begin.")).to_be_visible()


async def test_a_message_is_edited_and_sent_again(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        for number, text in enumerate(("one", "two", "three")):
            await say(page, text)
            await answered(page, number, text)
        await other.goto(at(address, name))
        await answered(other, 2, "three")
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await expect(field(page)).to_have_value("two")
        await page.keyboard.press("Escape")
        await expect(field(page)).to_have_value("")
        await turn(page, 1).get_by_role("button", name="Edit").click()
        await say(page, "zwei")
        for tab in (page, other):
            await answered(tab, 1, "zwei")
            await shows(tab, "one", "one", "zwei", "zwei")
        await turn(page, 0).get_by_role("button", name="Edit").click()
        await say(page, "eins")
        await answered(page, 0, "eins")
        await page.reload()
        await answered(page, 0, "eins")
        await shows(page, "eins", "eins")


async def test_older_messages_come_when_they_are_wanted(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    bound = lab.session.bind(name)
    for number in range(25):
        async with bound.turn(name, turn_id=f"t{number}") as writing:
            await writing.add_items([{"role": "user", "content": f"m{number}"}])
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await expect(page.locator(".turn")).to_have_count(20)
        # The turn before the first that is shown is where an edit goes back to.
        await turn(page, 0).get_by_role("button", name="Edit").click()
        await say(page, "instead")
        await answered(page, 5, "instead")
        said = ["m0", "m1", "m2", "m3", "m4", "instead"]
        await expect(page.locator(".said.user")).to_have_text(said)
