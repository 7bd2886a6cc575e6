"""Programs under test, started by the project's Python; they are killed or ended by their pid."""

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from turnwise.testing.servers.process import Process, ServerFailed
from turnwise.testing.servers.waiting import until

ROOT = Path(__file__).parents[2]
STARTED = 120.0  # seconds: imports alone take some when the machine is busy


class Programs:
    """Starts programs; those that still run when the block is left are killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[Process] = []

    def python(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        """`python arguments` in the project's folder."""
        return self.start(sys.executable, *arguments, environment=environment)

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> Process:
        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        # Without a key there is nobody that could be asked for an answer by mistake.
        words = [shutil.which("env") or "env", "-u", "OPENAI_API_KEY", *settings, *command]
        process = Process(words, ROOT, self._folder / f"program-{len(self._processes)}.log")
        self._processes.append(process)
        return process

    async def end(self) -> None:
        await asyncio.gather(*(process.kill() for process in self._processes))


@asynccontextmanager
async def programs(folder: Path) -> AsyncIterator[Programs]:
    started = Programs(folder)
    try:
        yield started
    finally:
        await started.end()


class Checked(Protocol):
    """A process that can say that it has ended."""

    def check(self) -> None: ...


async def ready(process: Checked, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that `process` brings about; raise ServerFailed if it ends before."""

    async def reached() -> bool:
        if await condition():
            return True
        try:
            process.check()
        except ServerFailed:
            if await condition():  # the last that it did
                return True
            raise
        return False

    await until(reached, STARTED, what)
