"""A page in the browser, and what it must not do."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, Page, expect

AXE = (Path(__file__).parent / "vendor/axe.min.js").read_text()
WIDE, NARROW = (1280, 900), (360, 740)
LONG = 30_000
expect.set_options(timeout=LONG)
_SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
_SEEN = ["color-contrast", "scrollable-region-focusable", "target-size"]
_OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@asynccontextmanager
async def looking(browser: Browser, **options: Any) -> AsyncIterator[Page]:
    """A page that tells no error, asks nobody else, and opens no dialog."""
    async with tabs(browser, 1, **options) as (page,):
        yield page


@asynccontextmanager
async def tabs(browser: Browser, count: int, **options: Any) -> AsyncIterator[list[Page]]:
    """Several tabs of one window."""
    viewport: Any = {"width": WIDE[0], "height": WIDE[1]}
    context = await browser.new_context(viewport=viewport, **options)
    troubles = list[str]()
    try:
        yield [await _watched(await context.new_page(), troubles) for _ in range(count)]
    finally:
        await context.close()
    # The status of a page that says what went wrong is no trouble.
    assert [each for each in troubles if "Failed to load resource" not in each] == []


async def _watched(page: Page, troubles: list[str]) -> Page:
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("dialog", lambda dialog: troubles.append(dialog.message))
    page.on("console", lambda said: troubles.append(said.text) if said.type == "error" else None)
    page.on("request", lambda asked: _note_stranger(asked.url, troubles))
    return page


def _note_stranger(url: str, troubles: list[str]) -> None:
    if not url.startswith("http://127.0.0.1:"):
        troubles.append(f"asked {url}")


async def check_accessible(page: Page) -> None:
    """Light and dark, wide and narrow; what does not depend on that is looked at once."""
    await page.evaluate(AXE)
    assert await _violations(page, "axe.run()") == []
    for size in (WIDE, NARROW):
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        assert await page.evaluate(_OVERFLOW) <= 0
        for scheme in _SCHEMES:
            await page.emulate_media(color_scheme=scheme)
            assert await _violations(page, f"axe.run({{runOnly: {_SEEN}}})") == []


async def _violations(page: Page, run: str) -> list[tuple[str, list[str]]]:
    result = await page.evaluate(run)
    assert result["passes"]
    return [
        (each["id"], [node["html"] for node in each["nodes"]])
        for each in result["violations"]
        if each["impact"] in ("serious", "critical")
    ]
