"""Servers and workers for the clients of the wires."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.http.wire_lab import Lab, Server, lab_in


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def lab(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Lab]:
    async with lab_in(tmp_path_factory.mktemp("wires")) as lab:
        yield lab


@pytest_asyncio.fixture(loop_scope="module")
async def alone(tmp_path: Path) -> AsyncIterator[Lab]:
    """With no other workers on its store."""
    async with lab_in(tmp_path) as lab:
        yield lab


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(lab: Lab) -> Server:
    return await lab.server(worker="one")
