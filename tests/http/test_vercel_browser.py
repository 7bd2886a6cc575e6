"""`useChat` in a Chromium, against a server and a worker that are processes."""

from __future__ import annotations

import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, Route, expect

from demo.browser import chromium, find_chromium
from tests.http.node_clients import bundled, install
from tests.http.wire_lab import LONGEST, Lab, Server, word
from tests.scripted import outline
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")

expect.set_options(timeout=LONGEST * 1000)
_HTML = '<!doctype html><title>Chat</title><div id="root"></div><script type="module">{}</script>'


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = find_chromium()
    if path is None:
        refuse = pytest.fail if os.environ.get("CI") else pytest.skip
        refuse("there is no Chromium: apt-get install chromium")
    async with chromium(path) as browser:
        yield browser


class Tabs:
    """Opens tabs of one browser with the page of a chat."""

    def __init__(self, browser: Browser, server: Server, html: str) -> None:
        self._browser = browser
        self._url = server.url
        self._html = html

    async def open(self, chat_id: str) -> Page:
        page = await self._browser.new_page()
        page.set_default_timeout(LONGEST * 1000)

        async def answer(route: Route) -> None:
            await route.fulfill(content_type="text/html", body=self._html)

        await page.route(f"{self._url}/page?*", answer)
        await page.goto(f"{self._url}/page?id={chat_id}")
        return page


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def html(tmp_path_factory: pytest.TempPathFactory) -> str:
    install()
    target: Path = tmp_path_factory.mktemp("page") / "page.js"
    await bundled("page.jsx", target)
    return _HTML.format(target.read_text().replace("</script", "<\\/script"))


@pytest_asyncio.fixture(loop_scope="module")
async def tabs(browser: Browser, server: Server, html: str) -> AsyncIterator[Tabs]:
    yield Tabs(browser, server, html)
    for context in browser.contexts:
        await context.close()


async def send(page: Page, text: str) -> None:
    await page.get_by_label("Message").fill(text)
    await page.get_by_role("button", name="Send").click()


async def shows(page: Page, *messages: str) -> None:
    """Wait until these are the messages on the page."""
    await expect(page.locator("article")).to_have_text(list(messages))


async def is_ready(page: Page) -> None:
    """Wait until the answer has ended."""
    await expect(page.locator("main")).to_have_attribute("data-status", "ready")


async def test_a_message_and_its_answer(tabs: Tabs, lab: Lab) -> None:
    chat_id = uuid4().hex
    page = await tabs.open(chat_id)
    await send(page, "weather Oslo")
    answer = "Let me see.sunny in osloIt is sunny in oslo."
    await shows(page, "weather Oslo", answer)
    await is_ready(page)
    await send(page, "count")
    await shows(page, "weather Oslo", answer, "count", "message 2")
    await is_ready(page)
    await page.reload()
    await shows(page, "weather Oslo", answer, "count", "message 2")
    assert outline(await lab.session.bind(chat_id).get_items())[-1] == "message 2"


async def test_a_reload_and_a_second_tab_go_on_with_the_answer(tabs: Tabs, lab: Lab) -> None:
    chat_id, halt, later = uuid4().hex, word(), word()
    page = await tabs.open(chat_id)
    await send(page, f"this is {halt} and {later} all")
    await shows(page, f"this is {halt} and {later} all", "this is")
    await page.reload()
    await shows(page, f"this is {halt} and {later} all", "this is")
    lab.go(halt)
    other = await tabs.open(chat_id)
    for tab in (page, other):
        await shows(tab, f"this is {halt} and {later} all", f"this is {halt} and")
    lab.go(later)
    for tab in (page, other):
        await shows(tab, *[f"this is {halt} and {later} all"] * 2)
        await is_ready(tab)
    assert len(await lab.session.bind(chat_id).get_items()) == 2


async def test_stop(tabs: Tabs, lab: Lab) -> None:
    chat_id, halt = uuid4().hex, word()
    page = await tabs.open(chat_id)
    await send(page, f"this is {halt} all")
    await shows(page, f"this is {halt} all", "this is")
    await page.get_by_role("button", name="Stop").click()
    await is_ready(page)
    assert await lab.session.bind(chat_id).get_items() == []
    await send(page, "count")
    await expect(page.locator("article").last).to_have_text("message 1")
    await is_ready(page)
    await page.reload()
    await shows(page, "count", "message 1")


async def test_an_approval_in_another_tab(tabs: Tabs, lab: Lab) -> None:
    chat_id = uuid4().hex
    page = await tabs.open(chat_id)
    await send(page, "refund A-1")
    await expect(page.get_by_role("button", name="Approve")).to_be_visible()
    await is_ready(page)
    other = await tabs.open(chat_id)  # as after a reload
    await other.get_by_role("button", name="Approve").click()
    answer = "refunded A-1It is refunded A-1."
    await shows(other, "refund A-1", answer)
    await is_ready(other)
    await page.reload()
    await shows(page, "refund A-1", answer)


async def test_a_rejection(tabs: Tabs, lab: Lab) -> None:
    chat_id = uuid4().hex
    page = await tabs.open(chat_id)
    await send(page, "refund A-1 A-2")
    await page.get_by_role("button", name="Approve").first.click()
    await page.get_by_role("button", name="Reject").last.click()

    async def decided() -> bool:
        info = await lab.session.info(chat_id)
        return info is not None and info.open_turn is None

    await until(decided, LONGEST, "the turn goes on")
    await is_ready(page)
    outputs = re.compile("^refunded A-1$"), re.compile("not approved")
    await expect(page.locator("output")).to_have_text(outputs)
