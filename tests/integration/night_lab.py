"""A bad night: workers as processes, and an operator who types what the commands print."""

from __future__ import annotations

import asyncio
import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from tests.integration.forked import ForkedProcess, Forks, turnwise
from tests.integration.programs import STARTED
from turnwise.cli.app import app
from turnwise.fleet import stuck as search
from turnwise.fleet import workers as registry
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

AGENTS = "tests.integration.night_process"


class Night:
    """Workers on one store, their folder, and the operator's terminal."""

    def __init__(self, url: str, folder: Path, started: Forks) -> None:
        self.url = url
        self._folder = folder
        self._started = started

    def worker(self, agents: str, *options: str, url: str = "") -> ForkedProcess:
        """Start one with these agents of `night_process`."""
        return self.program("worker", f"{AGENTS}:{agents}", *options, url=url)

    def program(self, *words: str, url: str = "") -> ForkedProcess:
        """`turnwise words` as a process of its own."""
        settings = {"LEDGER": str(self._folder / "ledger"), "TURNWISE_URL": url or self.url}
        return self._started.start(turnwise, *words, environment=settings)

    def put(self, name: str) -> None:
        """The file that messages wait for."""
        (self._folder / name).touch()

    async def typed(self, text: str) -> Result:
        """What somebody sees who types this command; they say yes where they are asked."""
        program, *words = shlex.split(text)
        assert program == "turnwise"
        return await self._run(words)

    async def obeyed(self, text: str) -> str:
        """The same for a command that must do what it is there for: its output."""
        result = await self.typed(text)
        assert result.exit_code == 0, result.output
        return str(result.stdout).removeprefix(" y\n")

    async def stuck(self, session_id: str, why: str, *options: str) -> dict[str, Any]:
        """What `turnwise stuck` says of a session, once it says this reason."""
        rows: list[dict[str, Any]] = []

        async def is_found() -> bool:
            result = await self._run(["stuck", "--match", session_id, "-o", "json", *options])
            rows[:] = json.loads(result.stdout)
            assert result.exit_code == (3 if rows else 0)
            return [why in row["why"] for row in rows] == [True]

        await until(is_found, STARTED, f"{why!r} was said")
        return rows[0]

    async def nothing_stuck(self, session_id: str) -> None:
        result = await self._run(["stuck", "--match", session_id, "--all", "-o", "json"])
        assert (result.exit_code, json.loads(result.stdout)) == (0, [])

    async def fault(self, name: str, url: str = "") -> dict[str, Any]:
        """What `turnwise doctor` says of a fault, once it finds it."""
        found: list[dict[str, Any]] = []

        async def is_found() -> bool:
            result = await self._run(["doctor", "-o", "json"], url)
            found[:] = json.loads(result.stdout)["findings"]
            return name in {each["name"] for each in found}

        await until(is_found, STARTED, f"{name} was found")
        return next(each for each in found if each["name"] == name)

    async def no_fault(self, name: str, url: str = "") -> None:
        """Wait until doctor does not find it any more."""

        async def is_gone() -> bool:
            result = await self._run(["doctor", "-o", "json"], url)
            return name not in {each["name"] for each in json.loads(result.stdout)["findings"]}

        await until(is_gone, STARTED, f"{name} was mended")

    async def _run(self, words: Sequence[str], url: str = "") -> Result:
        runner = CliRunner(env={"TURNWISE_URL": url or self.url})
        return await asyncio.to_thread(runner.invoke, app, words, input="y\n")


def impatient(patch: pytest.MonkeyPatch) -> None:
    """What counts as silent after 15 s, and as stuck after 30 s, does so soon."""
    patch.setattr(search, "PATIENCE", 0.5)
    patch.setattr(registry, "SILENT_AFTER", 6.0)


async def running(
    session: Session, session_id: str, turn_id: str, by: Sequence[ForkedProcess]
) -> str:
    """Wait until a worker runs this turn: its name."""
    name: list[str] = []

    async def is_running() -> bool:
        for process in by:
            process.check()
        status = await session.status(session_id, turn_id)
        name[:] = [getattr(status, "worker", "") or ""]
        return status.state == "running"

    await until(is_running, STARTED, "it ran")
    return name[0]


async def are_alive(session: Session, *processes: ForkedProcess) -> None:
    """Wait until they are in the registry."""
    for process in processes:

        async def is_there(process: ForkedProcess = process) -> bool:
            process.check()
            return process.pid in [each.pid for each in await session.workers()]

        await until(is_there, STARTED, "the worker was there")


async def said(session: Session, session_id: str, turn_id: str) -> Any:
    """What a message was answered with."""
    return (await session.receipt(session_id, turn_id).result(STARTED)).final_output
