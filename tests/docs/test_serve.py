"""The commands of the page on serving, typed as they are printed."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, blocks
from tests.integration.programs import programs, ready
from turnwise.testing.servers import ValkeyServer, find_valkey

PAGE = "docs/serve.md"
_FAKED = """
import app
from tests.http.typist import Typist

agents = app.agents
agents[0].model = Typist()
"""


async def test_the_commands_of_the_page_do_what_it_says(tmp_path: Path) -> None:
    if find_valkey() is None:
        pytest.skip("there is no Valkey server")
    app, *_ = (block.content for block in blocks("python") if block.page == PAGE)
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "faked.py").write_text(_FAKED)
    _, serve, *typed = (block.content for block in blocks("sh") if block.page == PAGE)
    command, verb, agents, option, url = shlex.split(serve)
    assert (command, verb, agents, option) == ("turnwise", "serve", "app:agents", "--url")
    assert url == "redis://localhost:6379/0"
    async with ValkeyServer() as server, programs(tmp_path) as started:
        words = [sys.executable, "-m", "turnwise.cli", verb, "faked:agents", option, server.url]
        script = f"cd {shlex.quote(str(tmp_path))} && exec {shlex.join([*words, '--port', '0'])}"
        process = started.start("sh", "-c", script, environment={"PYTHONPATH": str(ROOT)})

        async def serves() -> bool:
            return "serving at " in process.log()

        await ready(process, serves, "it serves")
        address = process.log().partition("serving at http://")[2].split("/")[0]
        answers = [await output(text.replace("localhost:8000", address)) for text in typed]
    answer, stream, rest, pending = answers
    assert json.loads(answer) == {"response": "re: Where is my order?"}
    for events in (stream, rest):
        assert "event: done" in events
    assert "event: turn" in rest
    assert json.loads(pending.splitlines()[0]) == {"approvals": []}


async def test_two_commands_bring_the_page_to_chat(tmp_path: Path) -> None:
    app, *_ = (block.content for block in blocks("python") if block.page == PAGE)
    (tmp_path / "app.py").write_text(app)
    (tmp_path / "faked.py").write_text(_FAKED)
    first, *_ = (block.content for block in blocks("sh") if block.page == PAGE)
    install, dev = first.splitlines()
    assert install == "pip install './turnwise[cli,serve,dashboard]'"
    assert shlex.split(dev) == ["turnwise", "dev", "app:agents"]
    words = [sys.executable, "-m", "turnwise.cli", "dev", "faked:agents", "--port", "0"]
    async with programs(tmp_path) as started:
        script = f"cd {shlex.quote(str(tmp_path))} && exec {shlex.join(words)}"
        process = started.start("sh", "-c", script, environment={"PYTHONPATH": str(ROOT)})

        async def serves() -> bool:
            return "Ctrl-C ends it." in process.log()

        await ready(process, serves, "it serves")
        address = process.log().split()[1]
        assert "<title>Chat</title>" in await output(f"curl -s {address}")
        body = '{"session_id": "s", "message": "Where is my order?"}'
        words = ["curl", "-s", f"{address}chat", "-H", "Content-Type: application/json", "-d", body]
        assert json.loads(await output(shlex.join(words))) == {"response": "re: Where is my order?"}
    assert (tmp_path / ".turnwise" / "sessions.db").exists()


async def output(script: str) -> str:
    """What the commands print, with a line end behind each."""
    commands = [command for command in script.replace("\\\n", " ").splitlines() if command]
    shell = "; echo; ".join(commands)
    process = await asyncio.create_subprocess_exec(
        *("sh", "-c", shell), stdout=asyncio.subprocess.PIPE
    )
    printed, _ = await process.communicate()
    assert process.returncode == 0, script
    return printed.decode()
