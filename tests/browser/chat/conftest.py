"""A server of the chat page."""

from __future__ import annotations

from uuid import uuid4

import pytest
import pytest_asyncio

from tests.http.wire_lab import Lab, labs

lab, alone = labs("session", agents="tests.browser.chat.page_agents:agents")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(lab: Lab) -> str:
    return (await lab.serve()).url


@pytest.fixture
def name() -> str:
    """A conversation that no other test has."""
    return f"talk-{uuid4().hex}"
