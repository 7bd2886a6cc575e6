"""A worker process, as the conductor holds it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

from demo.setup import Setup

SENT, SENT_AGAIN, BEGUN = "sent", "sent again", "begun"
"""What becomes of a turn before it calls the model."""

_PATIENCE = 5.0


class WorkerProcess:
    """Orders go in, messages come out, and it can be killed.

    `turns` are those it has been given and has not finished, with what it does in each.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.pid = process.pid
        self.turns: dict[str, str] = {}
        self.served = 0
        self.ready = False
        self.killed = False
        self._process = process
        self._errors: deque[str] = deque(maxlen=12)

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"

    @classmethod
    async def start(cls, name: str, setup: Setup) -> Self:
        """In a session of its own: Ctrl-C at the terminal is the parent's to handle."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "demo.worker", name),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        worker = cls(name, process)
        worker._write(setup.to_json())
        return worker

    def order(self, turn_id: str, *, again: bool, hold: int | None) -> None:
        self.turns[turn_id] = SENT_AGAIN if again else SENT
        self._write(json.dumps({"turn": turn_id, "hold": hold}))

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """All that it has to say, to the last complete line before its end."""
        assert self._process.stdout is not None
        errors = asyncio.create_task(self._read_errors())
        try:
            async for line in self._process.stdout:
                if line.endswith(b"\n"):
                    yield json.loads(line)
            await errors
        finally:
            errors.cancel()

    def kill(self) -> None:
        """SIGKILL: it gets no chance to tidy up."""
        self.ready, self.killed = False, True
        self._process.kill()

    async def end(self) -> None:
        """Let it end by itself, or else kill it. Before it is ready it has nothing to tidy up."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if not self.ready and self._process.returncode is None:
            self._process.kill()
        try:
            await asyncio.wait_for(self._process.wait(), _PATIENCE)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def obituary(self) -> str:
        """How it ended, for one that was not meant to."""
        code = await self._process.wait()
        return "\n".join([f"{self} ended by itself, with exit code {code}", *self._errors])

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._errors.append(line.decode(errors="replace").rstrip())

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
