"""Servers and workers for the clients of the wires."""

from __future__ import annotations

import pytest_asyncio

from tests.http.wire_lab import Lab, Server, labs

lab, alone = labs("module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(lab: Lab) -> Server:
    return await lab.server(worker="one")
