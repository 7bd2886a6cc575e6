"""Programs under test: started by the project's Python, killed or ended by pid, with their log."""

import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

ROOT = Path(__file__).parents[2]
STARTED = 30.0  # seconds: imports alone take some when the machine is busy


class Programs:
    """Starts programs; those that still run when the block is left are ended."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self._count = 0

    def python(self, *arguments: str, environment: Mapping[str, str] | None = None) -> Process:
        """`python arguments` in the project's folder."""
        return self.start(sys.executable, *arguments, environment=environment)

    def start(self, *command: str, environment: Mapping[str, str] | None = None) -> Process:
        self._count += 1
        settings = [f"{name}={value}" for name, value in (environment or {}).items()]
        # Without a key there is nobody that could be asked for an answer by mistake.
        words = [shutil.which("env") or "env", "-u", "OPENAI_API_KEY", *settings, *command]
        process = Process(words, ROOT, self._folder / f"program-{self._count}.log")
        self._stack.push_async_callback(_end, process)
        return process


@asynccontextmanager
async def programs(folder: Path) -> AsyncIterator[Programs]:
    async with AsyncExitStack() as stack:
        yield Programs(folder, stack)


async def ready(process: Process, condition: Callable[[], Awaitable[bool]], what: str) -> None:
    """Wait for a condition that `process` brings about; raise ServerFailed if it ends before."""

    async def reached() -> bool:
        process.check()
        return await condition()

    await until(reached, STARTED, what)


async def _end(process: Process) -> None:
    if process.alive:
        await process.terminate(timeout=10)
