"""`turnwise dev` as a process: one command that brings all, and that Ctrl-C ends."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.http.site import STREAM, events_of, said
from tests.http.test_chat import until_said
from tests.integration.programs import STARTED, Programs, programs, ready
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until


class Dev:
    """Starts `turnwise dev`, each in a process group of its own, as a terminal does."""

    def __init__(self, folder: Path, started: Programs) -> None:
        self.folder = folder
        self.data = folder / "data"
        self._started = started

    def start(self, *options: str, port: str = "0") -> Process:
        words = ("-m", "turnwise.cli", "dev", "tests.http.dev_agents:agents", "--port", port)
        environment = {
            "FOLDER": str(self.folder),
            "BROWSER": f"{self._browser()} %s",
            "OPENAI_AGENTS_DISABLE_TRACING": "1",  # without a key the SDK warns of it
        }
        return self._started.python(
            *words, "--data", str(self.data), *options, environment=environment
        )

    def _browser(self) -> Path:
        """Notes what it is to open."""
        script = self.folder / "browser"
        script.write_text(f'#!/bin/sh\necho "$1" > {self.folder}/opened\n')
        script.chmod(0o755)
        return script

    async def serving(self, *options: str) -> tuple[Process, dict[str, str]]:
        """One that serves, and the addresses that it tells."""
        process = self.start(*options)

        async def tells() -> bool:
            return "Ctrl-C ends it." in process.log()

        await ready(process, tells, "it serves")
        lines = process.log().partition("Ctrl-C")[0].splitlines()
        return process, dict(line.split(maxsplit=1) for line in lines)

    async def reached(self, name: str) -> None:
        async def is_there() -> bool:
            return (self.folder / name).exists()

        await until(is_there, STARTED, name)


def press_ctrl_c(process: Process) -> None:
    """As a terminal: every process of the group gets the signal."""
    os.killpg(process.pid, signal.SIGINT)


async def ended(process: Process, *, impatient: bool = False) -> int:
    """Its exit code, once it and all that it started are gone; impatient: Ctrl-C meanwhile."""

    async def is_gone() -> bool:
        if impatient and process.alive:
            press_ctrl_c(process)
        return not process.alive

    await until(is_gone, STARTED, "it ended")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
    return int(process._popen.returncode)


@pytest.fixture
async def dev(tmp_path: Path) -> AsyncIterator[Dev]:
    async with programs(tmp_path) as started:
        yield Dev(tmp_path, started)


async def test_one_command_brings_all_and_ctrl_c_ends_it(dev: Dev) -> None:
    process, told = await dev.serving("--open")
    assert list(told) == ["chat", "dashboard", "API", "sessions"]
    assert (dev.data / ".gitignore").read_text() == "*\n"
    async with httpx.AsyncClient(base_url=told["chat"], timeout=STARTED) as client:
        assert "<title>Chat</title>" in (await client.get("/")).text
        assert "/chat" in (await client.get(told["API"])).json()["paths"]
        body = {"session_id": "s", "message": "hello", "turn_id": "k"}
        assert (await client.post("/chat", json=body)).json() == {"response": "re: hello"}
        overview = (await client.get(told["dashboard"])).text
        assert "Workers" in overview
        page = (await client.get(f"{told['dashboard']}session", params={"id": "s"})).text
        assert "re: hello" in page
        await dev.reached("opened")
        # A turn runs, and pages are open.
        slow = {"session_id": "s", "message": "a slow one", "turn_id": "k2"}
        changes = client.stream("GET", f"{told['dashboard']}changes")
        async with changes, client.stream("POST", "/chat", json=slow, headers=STREAM) as answer:
            await until_said(events := events_of(answer), "re: a slow")
            press_ctrl_c(process)
            rest = [event.event async for event in events]
        assert rest[-1] == "reconnect"
    assert await ended(process) == 0
    assert (dev.folder / "opened").read_text().strip() == told["chat"]
    assert process.log().splitlines()[-1] == "Ctrl-C ends it."  # no error, no warning
    # The next one goes on with the turn.
    (dev.folder / "go").touch()
    process, told = await dev.serving()
    async with httpx.AsyncClient(base_url=told["chat"], timeout=STARTED) as client:
        async with client.stream("GET", "/chat/s/turns/k2/events") as answer:
            assert said([event async for event in events_of(answer)]) == "re: a slow one"
        turns = (await client.get("/chat/s/history")).json()["turns"]
        assert [turn["turn_id"] for turn in turns] == ["k2", "k"]
    await process.terminate(STARTED)
    assert await ended(process) == 0


@pytest.mark.parametrize("tool", ["blocks", "threads"])
async def test_a_second_ctrl_c_ends_it_whatever_runs(dev: Dev, tool: str) -> None:
    process, told = await dev.serving()
    async with httpx.AsyncClient(base_url=told["chat"], timeout=STARTED) as client:
        body = {"session_id": "s", "message": tool, "agent": "stubborn", "timeout": 0}
        assert (await client.post("/chat", json=body)).status_code == 202
        await dev.reached(tool)
        assert await ended(process, impatient=True) == 130


async def test_a_message_that_fails_is_told_at_once(dev: Dev) -> None:
    process, told = await dev.serving()
    async with httpx.AsyncClient(base_url=told["chat"], timeout=STARTED) as client:
        body = {"session_id": "s", "message": "unheard-of", "agent": "stubborn"}
        answer = await client.post("/chat", json=body)
    assert (answer.status_code, answer.json()["code"]) == (500, "DeadLettered")
    assert "Tool unheard-of not found" in process.log()
    press_ctrl_c(process)
    assert await ended(process) == 0


async def test_what_is_in_its_way_is_said(dev: Dev) -> None:
    process, told = await dev.serving()
    port = told["chat"].rpartition(":")[2].strip("/")
    second = dev.start(port=port)
    assert await ended(second) == 1
    words = f"turnwise: it cannot listen at {HOST}: another process has port {port}. Choose"
    assert words in second.log()
    press_ctrl_c(process)
    assert await ended(process) == 0
    dev.data = dev.folder / "browser"  # a file
    third = dev.start(port=str(free_port()))
    assert await ended(third) == 2
    assert "is no folder" in " ".join(third.log().replace("│", " ").split())
