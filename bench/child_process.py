"""Child processes of the benchmark, which report in lines of text what they do and when.

A reported time is one of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_TIMEOUT = 300.0
"""Seconds until a line; a child that starts on a busy machine imports for a minute."""


class ChildProcess:
    """A running child, seen from its parent."""

    def __init__(self, process: Process, module: str) -> None:
        self.process = process
        self._module = module

    async def read(self, timeout: float = _TIMEOUT) -> list[str]:
        """The words of its next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} exited; see its error above")
        return line.decode().split()

    async def wait_for(self, event: str, timeout: float = _TIMEOUT) -> list[str]:
        """The fields of the next report of this event; skips all other reports."""
        while (words := await self.read(timeout))[0] != event:
            continue
        return words[1:]

    def write(self, line: str) -> None:
        """Send a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def request(self, line: str) -> str:
        """Send a line and return the line that it answers with."""
        self.write(line)
        return " ".join(await self.read())


@asynccontextmanager
async def child_process(module: str, *arguments: object) -> AsyncIterator[ChildProcess]:
    """Run `python -m module arguments`; terminate it at the end if it still runs."""
    command = sys.executable, "-m", module, *map(str, arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield ChildProcess(process, module)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def report(*words: object) -> None:
    """In the child: send a line to the parent, with the time at its end."""
    print(*words, time.monotonic(), flush=True)


async def read_command() -> str:
    """In the child: the next line of the parent; "" at the end of the input."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()
