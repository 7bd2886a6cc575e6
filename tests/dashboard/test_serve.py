"""`turnwise dashboard`, as a process."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from tests.integration.fault_lab import message
from turnwise import connect
from turnwise.cli.app import app
from turnwise.dashboard.serve import is_loopback

TOKEN = "a-long-enough-token"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.db'}"


async def started(url: str, *words: str, **environment: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnwise.cli", "dashboard", "--url", url, *words),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def served(url: str, *words: str, **environment: str) -> AsyncIterator[str]:
    """The address of a dashboard that runs during the block, and then ends well."""
    process = await started(url, "--port", "0", *words, **environment)
    assert process.stdout is not None
    try:
        line = (await process.stdout.readline()).decode()
        assert line.startswith("dashboard at http://"), line
        yield line.split()[-1]
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (0, "")
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def refused(url: str, *words: str) -> str:
    """What the command says. It runs in this process: to start one takes seconds."""
    invoke = partial(CliRunner().invoke, app, ["dashboard", "--url", url, *words])
    result = await asyncio.to_thread(invoke)
    assert result.exit_code != 0
    return result.output


async def test_it_serves_and_ends_by_a_signal(url: str) -> None:
    async with connect(url) as session:
        await session.bind("user-1").add_items([message("hi")])
    async with served(url) as address, httpx.AsyncClient(base_url=address) as client:
        assert address.startswith("http://127.0.0.1:")
        page = await client.get("/sessions")
        assert (page.status_code, "user-1" in page.text) == (200, True)
        assert "server" not in page.headers
        pointed_here = await client.get("/sessions", headers={"Host": "evil.example"})
        assert pointed_here.status_code == 400
        # A page that is open does not keep it from ending.
        async with client.stream("GET", "/changes") as changes:
            assert changes.status_code == 200


async def test_with_a_token_it_listens_anywhere(url: str) -> None:
    words = "--host", "0.0.0.0", "--read-only"
    async with (
        served(url, *words, TURNWISE_DASHBOARD_TOKEN=TOKEN) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        assert (await client.get("/")).status_code == 401
        headers = {"Authorization": f"Bearer {TOKEN}", "Host": "ops.example"}
        page = await client.get("/", headers=headers)
        assert (page.status_code, "read-only" in page.text) == (200, True)


async def test_with_a_header_of_a_proxy(url: str) -> None:
    words = "--user-header", "X-Forwarded-User"
    async with served(url, *words) as address, httpx.AsyncClient(base_url=address) as client:
        assert (await client.get("/")).status_code == 401
        page = await client.get("/", headers={"X-Forwarded-User": "ana"})
        assert (page.status_code, "ana" in page.text) == (200, True)
    elsewhere = "--proxy", "10.0.0.0/8"
    async with (
        served(url, *words, *elsewhere) as address,
        httpx.AsyncClient(base_url=address) as client,
    ):
        forged = {"X-Forwarded-User": "ana", "X-Forwarded-For": "10.0.0.1"}
        assert (await client.get("/", headers=forged)).status_code == 403


async def test_what_it_refuses_to_do(url: str) -> None:
    for host in ("0.0.0.0", "::", "192.0.2.1"):
        assert "without --token or --user-header" in await refused(url, "--host", host)
    assert "16 characters" in await refused(url, "--token", "short")
    assert "not both" in await refused(url, "--token", TOKEN, "--user-header", "X")
    assert "--proxy" in await refused(url, "--user-header", "X", "--proxy", "nowhere")
    async with served(url) as address:
        assert "cannot listen at" in await refused(
            url, "--port", address.rstrip("/").split(":")[-1]
        )


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        *(("127.0.0.1", True), ("127.1.2.3", True), ("::1", True), ("localhost", True)),
        *(("0.0.0.0", False), ("::", False), ("10.0.0.1", False), ("localhost.evil", False)),
        *(("", False), ("example.com", False)),
    ],
)
def test_only_loopback_is_loopback(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
