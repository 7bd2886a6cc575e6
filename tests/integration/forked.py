"""Programs as processes that begin at once: forked from a server that has imported all of it."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from turnwise.testing.servers.process import ServerFailed

_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(
    [
        "turnwise.cli.app",
        "turnwise.cli.worker",
        "tests.integration.approval_process",
        "tests.integration.background_lab",
        "tests.integration.cancel_process",
        "tests.integration.durable_process",
    ]
)


class ForkedProcess:
    """A running process that writes to the file `log`."""

    def __init__(self, process: ForkServerProcess, log: Path) -> None:
        self._process, self._log = process, log
        self.pid = process.pid or 0

    @property
    def alive(self) -> bool:
        return self._process.is_alive()

    def check(self) -> None:
        """Raise ServerFailed if it has ended."""
        if not self.alive:
            raise ServerFailed(f"it ended: {self.log()[-2_000:]}")

    def log(self) -> str:
        """What it has written so far."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def pause(self) -> None:
        """SIGSTOP; returns when it is stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        while self._process.is_alive() and _state(self.pid) not in ("T", "Z", ""):
            time.sleep(0.001)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    async def ended(self) -> int:
        """Wait until it ends by itself; its exit code."""
        await asyncio.to_thread(self._process.join)
        return self._process.exitcode or 0

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._process.kill()
        await asyncio.to_thread(self._process.join)

    async def terminate(self, timeout: float | None = None) -> None:
        """SIGTERM, and SIGKILL if it is still there after `timeout` seconds."""
        self.resume()
        self._process.terminate()
        await asyncio.to_thread(self._process.join, timeout)
        if self._process.is_alive():
            await self.kill()


def _state(pid: int) -> str:
    """A letter, as `ps` shows it; "" where there is no /proc, or no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return ""


class Forks:
    """Starts processes; those that still run when the block is left are killed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[ForkedProcess] = []

    def start(
        self, program: Callable[..., None], *words: str, environment: Mapping[str, str]
    ) -> ForkedProcess:
        """Call a function of a module there, with this environment besides."""
        log = self._folder / f"program-{len(self._started)}.log"
        given = program, words, dict(environment), str(log)
        process = _context.Process(target=_run, args=given, daemon=True)
        process.start()
        self._started.append(ForkedProcess(process, log))
        return self._started[-1]

    async def end(self) -> None:
        await asyncio.gather(*(process.kill() for process in self._started))


@asynccontextmanager
async def forks(folder: Path) -> AsyncIterator[Forks]:
    started = Forks(folder)
    try:
        yield started
    finally:
        await started.end()


def _run(
    program: Callable[..., None], words: tuple[str, ...], environment: dict[str, str], log: str
) -> None:
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    os.environ.pop("OPENAI_API_KEY", None)
    os.environ.update(environment)
    with open(log, "ab") as file:
        for stream in 1, 2:
            os.dup2(file.fileno(), stream)
    program(*words)


def _end_with_the_tests() -> None:
    """Its parent is the server that it was forked from, and that waits for it."""
    tests = multiprocessing.parent_process()
    if tests is not None:
        wait([tests.sentinel])
        os._exit(1)


def turnwise(*words: Any) -> None:
    """The command."""
    from turnwise.cli.app import app

    app(words)


def script(text: str, *words: str) -> None:
    """A program given as its text."""
    sys.argv[1:] = words
    exec(compile(text, "script", "exec"), {"__name__": "__main__"})


def direct_turn(*words: str) -> None:
    """See `durable_process`."""
    from tests.integration.durable_process import main

    asyncio.run(main(*words))


def resumed_turn(*words: str) -> None:
    """See `approval_process`."""
    from tests.integration.approval_process import main

    asyncio.run(main(*words))


def cancelled_turn(*words: str) -> None:
    """See `cancel_process`."""
    from tests.integration.cancel_process import main

    asyncio.run(main(*words))
