"""Processes of this benchmark's own, which tell by lines of text what they do and when.

Times are those of `time.monotonic`, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_PATIENCE = 60.0


class Child:
    """A running process, and the lines that it says."""

    def __init__(self, process: Process, module: str) -> None:
        self.process = process
        self._module = module

    async def line(self, timeout: float = _PATIENCE) -> list[str]:
        """The words of its next line."""
        assert self.process.stdout is not None
        async with asyncio.timeout(timeout):
            line = await self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._module} has ended; its error stands above")
        return line.decode().split()

    async def next(self, word: str, timeout: float = _PATIENCE) -> list[str]:
        """The rest of its next line that begins with `word`; others are passed over."""
        while (words := await self.line(timeout))[0] != word:
            continue
        return words[1:]

    def tell(self, text: str) -> None:
        """A line of its input."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")

    async def answer(self, text: str) -> str:
        """What it says to a line of its input."""
        self.tell(text)
        return " ".join(await self.line())


@asynccontextmanager
async def child(module: str, *arguments: object) -> AsyncIterator[Child]:
    """`python -m module arguments`, which is terminated at the end if it still runs."""
    command = sys.executable, "-m", module, *map(str, arguments)
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    try:
        yield Child(process, module)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.communicate()


def say(*words: object) -> None:
    """A line for the parent, with the time at its end."""
    print(*words, time.monotonic(), flush=True)


async def heard() -> str:
    """The next line of this process's input; "" at its end."""
    line: str = await asyncio.to_thread(sys.stdin.readline)
    return line.strip()
