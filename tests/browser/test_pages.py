"""The dashboard in a real browser: what it shows, how it is used, and what it must not do."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.async_api import Browser, expect

from tests.browser.conftest import HOSTILE, served
from tests.browser.looking import check_accessible, looking
from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo, working
from tests.integration.fault_lab import message
from turnwise.dashboard.authentication import Token
from turnwise.session import Session

pytestmark = pytest.mark.asyncio(loop_scope="session")

PAGES = {
    "overview": "",
    "stuck": "stuck",
    "sessions": "sessions",
    "session": "session?id=user-1:orders",
    "waiting": "session?id=user-3:lounge",
    "approval": "session?id=user-2:refund",
    "turn": "turn?id=user-5:seats&turn=t-runs",
    "ended turn": "turn?id=user-2:more&turn=t-ended",
    "approvals": "approvals",
    "dead letters": "dead-letters",
    "workers": "workers",
    "audit": "audit",
    "doctor": "doctor",
    "none": "session?id=nobody",
    "wrong": "session",
}


@pytest.mark.parametrize("name", PAGES)
async def test_axe_finds_nothing_serious(browser: Browser, address: str, name: str) -> None:
    async with looking(browser) as page:
        await page.goto(address + PAGES[name])
        if name == "overview":
            await page.wait_for_selector("canvas")
        await check_accessible(page)


async def test_a_session_is_live_while_a_turn_runs(
    browser: Browser, address: str, session: Session
) -> None:
    async with looking(browser) as page:
        async with session.turn("live", turn_id="t-live") as turn:
            await page.goto(f"{address}session?id=live")
            await expect(page.locator(".open-turn")).to_contain_text("t-live")
            await expect(page.locator("#liveness")).to_have_text("live")
            await turn.add_items([message("said just now")])
        await expect(page.locator(".said.user")).to_contain_text("said just now")
        await expect(page.locator(".open-turn")).to_have_count(0)


async def test_the_overview_keeps_up_and_draws_its_charts(
    browser: Browser, address: str, session: Session
) -> None:
    async with looking(browser) as page:
        await page.goto(address)
        running = page.locator(".card", has_text="Running turns").locator(".value")
        await expect(running).to_have_text("1")
        async with session.turn("busy"):
            await expect(running).to_have_text("2")
        await expect(running).to_have_text("1")
        await expect(page.locator(".charts canvas")).to_have_count(5)
        charts = page.locator(".charts")
        for told in (
            "Turns per second: ",
            "Median turn: ",
            "Takeovers in a minute: 0",
        ):
            await expect(charts).to_contain_text(told)


async def test_what_is_typed_stays_while_the_page_keeps_up(
    browser: Browser, address: str, session: Session
) -> None:
    async with looking(browser) as page:
        await page.goto(f"{address}workers")
        await page.locator("nav a", has_text="Doctor").focus()
        async with working(session, echo()):
            await expect(page.locator("tbody")).to_contain_text("echo")
        assert await page.evaluate("document.activeElement.textContent") == "Doctor"


async def test_the_keyboard_is_enough_to_approve(
    browser: Browser, address: str, session: Session
) -> None:
    await waiting(session.bind("keys"), Clerk(), "send")
    async with looking(browser) as page:
        await page.goto(f"{address}approvals")
        await page.keyboard.press("Tab")
        await expect(page.get_by_text("Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        for _ in range(100):
            await page.keyboard.press("Tab")
            if await page.evaluate(_IS_APPROVAL_OF, "keys"):
                break
        else:
            pytest.fail("no button to approve it gets the focus")
        await page.keyboard.press("Enter")
        await expect(page.locator("ul.outcomes")).to_contain_text("Approved in session keys")
    assert await session.pending_approvals("keys") == []


_IS_APPROVAL_OF = """id => document.activeElement.textContent === "Approve"
    && document.activeElement.form.elements.id.value === id"""


async def test_dead_letters_are_deleted_after_a_question(
    browser: Browser, address: str, session: Session
) -> None:
    async with looking(browser) as page:
        await page.goto(f"{address}dead-letters?match=user-2:*")
        await page.get_by_role("button", name="Delete all that are found").click()
        await expect(page.locator("h1")).to_have_text("Delete 1 dead letter?")
        await page.get_by_role("link", name="Leave them").click()
        await page.get_by_role("checkbox").check()
        await page.get_by_role("button", name="Delete the chosen").click()
        await page.get_by_role("button", name="Delete 1", exact=True).click()
        await expect(page.locator("ul.outcomes")).to_contain_text("Deleted: ")
    left = [letter.session_id for letter in await session.dead_letters()]
    assert sorted(left) == ["user-0:seat", "user-1:seat"]


async def test_it_works_without_javascript(
    browser: Browser, address: str, session: Session
) -> None:
    await session.bind("plain").add_items([message("hi")])
    async with looking(browser, java_script_enabled=False) as page:
        await page.goto(address)
        await page.get_by_role("link", name="Sessions", exact=True).click()
        await page.get_by_role("searchbox").fill("plai")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="plain").click()
        await page.get_by_role("button", name="Delete the session").click()
        await page.get_by_role("button", name="Delete it").click()
        await expect(page.locator("ul.outcomes")).to_have_text("The session is deleted.")
    assert await session.info("plain") is None


async def test_hostile_content_runs_nothing(
    browser: Browser, address: str, session: Session
) -> None:
    async with looking(browser) as page:
        for path in PAGES.values():
            await page.goto(address + path)
            assert "pwned" not in await page.title()
        await page.goto(f"{address}sessions")
        await page.get_by_role("link", name=HOSTILE).click()
        await expect(page.locator(".said.user pre")).to_have_text(HOSTILE)
        assert await page.locator("main img, main script").count() == 0
        await session.bind(HOSTILE).add_items([message(f"{HOSTILE} again")])
        await expect(page.locator(".said.user pre").first).to_have_text(f"{HOSTILE} again")
        assert await page.locator("main img, main script").count() == 0


async def test_a_token_is_asked_for(browser: Browser, session: Session) -> None:
    token = "a-long-enough-token"
    async with served(session, Token(token)) as address, looking(browser) as page:
        await page.goto(f"{address}sessions")
        await page.get_by_label("The token").fill("wrong")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("alert")).to_have_text("That is not the token.")
        await page.get_by_label("The token").fill(token)
        await page.keyboard.press("Enter")
        await expect(page.locator("h1")).to_have_text("Overview")
        await expect(page.locator("#liveness")).to_have_text("live")


async def test_a_page_says_that_it_has_lost_the_dashboard(
    browser: Browser, session: Session
) -> None:
    viewport: Any = {"width": 800, "height": 600}
    context = await browser.new_context(viewport=viewport)
    page = await context.new_page()
    async with served(session) as address:
        await page.goto(address)
        await expect(page.locator("#liveness")).to_have_text("live")
    await expect(page.locator("#liveness")).to_have_text("not live")
    await expect(page.locator("h1")).to_have_text("Overview")
    await context.close()
