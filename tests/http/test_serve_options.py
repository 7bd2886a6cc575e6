"""Options of `turnwise serve` that concern one wire."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from typer.testing import CliRunner

from tests.http.wire_lab import Lab
from tests.integration.programs import STARTED
from turnwise.cli.app import app

FRONT_ENDS = ("--session-header", "X-Chat", "--session-header", "X-Thread")


@pytest_asyncio.fixture(
    params=[(), ("--ai-sdk", "5", *FRONT_ENDS)], ids=["defaults", "options"], loop_scope="module"
)
async def asked(
    request: pytest.FixtureRequest, alone: Lab
) -> AsyncIterator[tuple[bool, httpx.AsyncClient]]:
    """Whether the server has the options, and its client."""
    server = await alone.serve(*request.param)
    async with httpx.AsyncClient(base_url=server.url, timeout=STARTED) as client:
        yield bool(request.param), client


async def chunks(client: httpx.AsyncClient, text: str) -> list[Any]:
    message = {"id": "m", "role": "user", "parts": [{"type": "text", "text": text}]}
    answer = await client.post("/api/chat", json={"id": "vercel", "messages": [message]})
    data = (line.removeprefix("data: ") for line in answer.text.splitlines() if line)
    return [json.loads(each) for each in data if each.startswith("{")]


@pytest.mark.asyncio(loop_scope="module")
async def test_the_pages_version_and_the_session_s_headers(
    asked: tuple[bool, httpx.AsyncClient], alone: Lab
) -> None:
    has_options, client = asked
    kinds = [chunk["type"] for chunk in await chunks(client, "refund A-1")]
    asks = {"data-approval", "tool-approval-request"}
    assert asks.intersection(kinds) == {"data-approval" if has_options else "tool-approval-request"}
    body = {"model": "helper", "messages": [{"role": "user", "content": "hello"}]}
    for name in ("X-Chat", "X-Thread", "X-Conversation-Id"):
        headers = {name: name, "X-Message-Id": "m"}
        answer = await client.post("/v1/chat/completions", json=body, headers=headers)
        assert answer.json()["choices"][0]["message"]["content"] == "hello"
    named = {"X-Chat", "X-Thread"} if has_options else {"X-Conversation-Id"}
    assert {one async for one in alone.session.scan()} == {"vercel", *named}


@pytest.mark.parametrize("version", ["4", "8", "six"])
def test_a_version_that_there_is_not_is_refused(tmp_path: Path, version: str) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    words = ["serve", "tests.http.dev_agents:agents", "--url", url, "--ai-sdk", version]
    result = CliRunner().invoke(app, words)
    assert (result.exit_code, "--ai-sdk" in result.output) == (2, True)
