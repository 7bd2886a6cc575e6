"""The chat page goes on: after a reload, in another tab, without its server, after a lost reply."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, Route, expect

from tests.browser.chat.talking import answered, at, hold, message_of, say, shows
from tests.browser.looking import looking, tabs
from tests.http.wire_lab import Lab, word

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_reload_and_a_second_tab_go_on_with_the_answer(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    slow = word()
    async with tabs(browser, 2) as (page, other):
        for tab in (page, other):
            await tab.goto(at(address, name))
        await expect(other.get_by_text("Write a message to begin.")).to_be_visible()
        await say(page, f"one {slow} two")
        await say(page, "and this")
        for tab in (page, other):  # the other one is told
            await shows(tab, f"one {slow} two", "one", "and this")
        await page.reload()
        await shows(page, f"one {slow} two", "one", "and this")
        lab.go(slow)
        for tab in (page, other):
            await answered(tab, 0, f"one {slow} two")
            await answered(tab, 1, "and this")
            await shows(tab, f"one {slow} two", f"one {slow} two", "and this", "and this")


async def test_a_late_reply_takes_nothing_back(browser: Browser, address: str, name: str) -> None:
    """A tab reads the history twice, and gets the second reply first."""
    has_read, go = asyncio.Event(), asyncio.Event()

    async def wait(route: Route) -> None:
        reply = await route.fetch()
        if not has_read.is_set():
            has_read.set()
            await go.wait()
        await route.fulfill(response=reply)

    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        await say(page, "one")
        await answered(page, 0, "one")
        await other.route("**/history*", wait)
        await other.goto(at(address, name))
        await has_read.wait()
        await say(page, "two")
        await shows(other, "one", "one", "two", "two")
        async with other.expect_response("**/chat/sessions*"):  # what it asks next
            go.set()
        await shows(other, "one", "one", "two", "two")


async def test_a_late_list_of_conversations_takes_nothing_back(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    """The list that was asked for during an answer comes after the one asked for at its end."""
    slow, held, go = word(), asyncio.Event(), asyncio.Event()

    async def wait(route: Route) -> None:
        reply = await route.fetch()
        found = {each["session_id"]: each for each in (await reply.json())["sessions"]}
        if found.get(name, {}).get("state") in ("queued", "running") and not held.is_set():
            held.set()
            await go.wait()
        await route.fulfill(response=reply)

    async with looking(browser) as page:
        await page.goto(at(address, name))
        await page.route("**/chat/sessions*", wait)
        await say(page, f"one {slow} two")
        await held.wait()
        lab.go(slow)
        entry = page.get_by_role("navigation").locator("li a[aria-current=page]")
        await expect(entry).to_contain_text(f"one {slow} two")
        async with page.expect_response("**/chat/sessions*"):
            go.set()
        await page.evaluate("() => new Promise(requestAnimationFrame)")
        await expect(entry.locator("small span")).to_have_count(0)  # it does not wait or answer


async def test_a_message_that_fails_before_its_events_are_read_says_so(
    browser: Browser, address: str, name: str
) -> None:
    """Another tab writes meanwhile, and so this one reads a history without it."""
    asked, go = asyncio.Event(), asyncio.Event()

    async def wait(route: Route) -> None:
        asked.set()
        await go.wait()
        await route.continue_()

    async with tabs(browser, 2) as (page, other):
        await other.goto(at(address, name))
        await page.goto(at(address, name))
        await page.route("**/events", wait)
        await say(page, "break")
        await asked.wait()
        await say(other, "and this")
        answers = other.locator(".said.assistant")
        await expect(answers.last).to_have_text("and this")  # so the other message has failed
        await say(other, "again")
        await expect(page.locator(".said.user").get_by_text("again")).to_be_visible()
        go.set()
        failed = page.locator(".turn").filter(has_text="break")
        await expect(failed).to_have_attribute("data-state", "dead")
        await expect(failed.locator(".note")).to_contain_text("failed")


async def test_a_page_outlives_its_server(browser: Browser, alone: Lab, name: str) -> None:
    """The server dies in the middle of an answer, and another one takes its place."""
    slow = word()
    server = await alone.serve("--lease", "2")
    async with looking(browser) as page:
        await page.goto(at(server.url, name))
        await say(page, f"who {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("one says")
        await server.process.kill()
        await expect(page.get_by_role("status")).to_contain_text("does not answer")
        await alone.serve(port=server.port)
        alone.go(slow)
        await answered(page, 0, f"one says {slow}")
        await shows(page, f"who {slow}", f"one says {slow}")


async def test_what_a_takeover_makes_void_is_gone(browser: Browser, alone: Lab, name: str) -> None:
    slow = word()
    address = (await alone.serve("--workers-inside", "0")).url
    first = alone.worker("first")
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, f"who {slow}")
        await expect(page.locator(".said.assistant")).to_have_text("first says")
        await first.kill()
        alone.worker("second")
        await expect(page.locator(".said.assistant")).to_have_text("second says")
        alone.go(slow)
        await answered(page, 0, f"second says {slow}")


async def test_a_message_whose_reply_is_lost_is_sent_once(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    lost = list[str]()

    async def lose(route: Route) -> None:
        if not lost:
            lost.append(route.request.url)
            await route.fetch()
            await route.abort()
        else:
            await route.continue_()

    async with looking(browser) as page:
        await page.route("**/chat", lose)
        await page.goto(at(address, name))
        await say(page, "once")
        await answered(page, 0, "once")
        await expect(page.locator(".turn")).to_have_count(1)
    history = await lab.session.history(name)
    assert lost
    assert history is not None
    assert len(history) == 1


async def test_messages_survive_a_reload_before_they_arrive(
    browser: Browser, address: str, name: str
) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await page.route("**/chat", lambda route: route.abort())
        await say(page, "on its way")
        await say(page, "this too")
        await expect(page.get_by_role("status")).to_contain_text("does not answer")
        await page.reload()
        await shows(page, "on its way", "this too")
        await page.unroute_all()
        await answered(page, 0, "on its way")
        await answered(page, 1, "this too")
        await shows(page, "on its way", "on its way", "this too", "this too")


async def test_messages_arrive_in_their_order(browser: Browser, address: str, name: str) -> None:
    asked, go = list[str](), asyncio.Event()

    async def wait(route: Route) -> None:
        asked.append(message_of(route))
        await go.wait()
        await route.continue_()

    async with looking(browser) as page:
        await page.route("**/chat", wait)
        await page.goto(at(address, name))
        await say(page, "one")
        await say(page, "two")
        await shows(page, "one", "two")
        assert asked == ["one"]
        go.set()
        await answered(page, 0, "one")
        await answered(page, 1, "two")
        await page.reload()
        await shows(page, "one", "one", "two", "two")


async def test_a_message_is_followed_when_it_has_arrived(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    """The answer before it ends while it is on its way, and its turn is not known yet."""
    slow, go = word(), asyncio.Event()

    async with looking(browser) as page:
        await hold(page, "next", go)
        await page.goto(at(address, name))
        await say(page, f"a {slow}")
        listed = page.get_by_role("navigation").locator("[aria-current=page]")
        await expect(listed).to_contain_text("answering")
        await say(page, "next")
        lab.go(slow)
        await answered(page, 0, f"a {slow}")
        await expect(listed).not_to_contain_text("answering")  # what is done before the next
        go.set()
        await answered(page, 1, "next")


async def test_who_is_quick_loses_nothing(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    """The message is sent before the page has shown the agents and what was said before."""
    await lab.session.bind(name).add_items([{"role": "user", "content": "before"}])
    go = asyncio.Event()

    async def wait(route: Route) -> None:
        await go.wait()
        await route.continue_()

    async with looking(browser) as page:
        await page.route("**/chat/agents", wait)
        await page.goto(at(address, name))
        await say(page, "at once")
        await expect(page.locator(".said.user")).to_have_text(["at once"])
        go.set()
        await answered(page, 1, "at once")
        await shows(page, "before", "at once", "at once")
