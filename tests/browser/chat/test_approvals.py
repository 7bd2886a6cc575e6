"""Calls that wait for a decision on the chat page."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.browser.chat.talking import answered, at, say
from tests.browser.looking import looking, tabs
from tests.http.wire_lab import Lab

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_calls_are_approved_and_rejected_with_a_reason(
    browser: Browser, address: str, name: str
) -> None:
    async with tabs(browser, 2) as (page, other):
        await page.goto(at(address, name))
        await say(page, "refund A-1 B-2")
        await expect(page.get_by_role("status")).to_have_text("Waiting for your decision")
        await other.goto(at(address, name))
        first = page.locator(".approval").first
        await expect(first).to_contain_text("helper asks to call refund")
        await expect(other.locator(".approval")).to_have_count(2)
        await first.get_by_role("button", name="Approve").click()
        await expect(page.locator(".approval")).to_have_count(1)
        await expect(first).to_contain_text('"order": "B-2"')
        await first.get_by_label("Reason").fill("too late")
        await first.get_by_role("button", name="Reject").click()
        for tab in (page, other):
            await answered(tab, 0, "It is refunded A-1 and too late.")
            await expect(tab.locator(".approval")).to_have_count(0)


async def test_what_another_decided_is_no_error(
    browser: Browser, address: str, lab: Lab, name: str
) -> None:
    async with looking(browser) as page:
        await page.goto(at(address, name))
        await say(page, "refund A-1 B-2")
        await expect(page.locator(".approval")).to_have_count(2)
        first, _ = await lab.session.pending_approvals(name)
        await lab.session.decide(name, approve=[first.id])
        await page.get_by_role("button", name="Approve").first.click()
        await expect(page.locator(".approval")).to_have_count(1)
        await page.get_by_role("button", name="Approve").click()
        await answered(page, 0, "It is refunded A-1 and refunded B-2.")
        await expect(page.get_by_role("alert").first).to_be_hidden()
