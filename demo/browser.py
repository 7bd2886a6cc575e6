"""A Chromium without a window, for pictures and for tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from playwright.async_api import Browser, async_playwright

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str | None:
    """The path of a Chromium on this machine; None if there is none."""
    return next((path for path in map(shutil.which, _NAMES) if path is not None), None)


@asynccontextmanager
async def chromium(path: str) -> AsyncIterator[Browser]:
    """The browser, until the block ends."""
    # Its sandbox needs rights that root in a container has not; it only sees our own pages.
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=arguments)
        try:
            yield browser
        finally:
            await browser.close()
