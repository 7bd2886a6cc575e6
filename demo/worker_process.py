"""A worker process, as the orchestrator sees it."""

from __future__ import annotations

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Self

from demo.config import Config

DISPATCHED, RETRIED, BEGUN = "dispatched", "retried", "begun"
"""The states of a turn before its first call."""

MAX_CONCURRENT_TURNS = 8
"""Turns that a worker runs at the same time."""

_STOP_TIMEOUT = 5.0


class WorkerProcess:
    """Takes turns, sends messages about them, and can be killed.

    `turns` maps each dispatched and unfinished turn to its state: one of the above, or its call.
    """

    def __init__(self, name: str, process: Process) -> None:
        self.name = name
        self.pid = process.pid
        self.turns: dict[str, str] = {}
        self.completed_turns = 0
        self.ready = False
        self.killed = False
        self._process = process
        self._stderr: deque[str] = deque(maxlen=12)

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"

    @classmethod
    async def start(cls, name: str, config: Config) -> Self:
        """Starts in a process group of its own: Ctrl-C at the terminal reaches the parent only."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "demo.worker", name),
            stdin=PIPE,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
        )
        worker = cls(name, process)
        worker._write(config.to_json())
        return worker

    def dispatch(self, turn_id: str, *, retried: bool, block_at: int | None) -> None:
        self.turns[turn_id] = RETRIED if retried else DISPATCHED
        self._write(json.dumps({"turn_id": turn_id, "block_at": block_at}))

    async def messages(self) -> AsyncIterator[dict[str, Any]]:
        """Everything that it sends, up to the last complete line before its end."""
        assert self._process.stdout is not None
        stderr = asyncio.create_task(self._read_stderr())
        try:
            async for line in self._process.stdout:
                if line.endswith(b"\n"):
                    yield json.loads(line)
            await stderr
        finally:
            stderr.cancel()

    def kill(self) -> None:
        """With SIGKILL: it cannot clean up."""
        self.ready, self.killed = False, True
        self._process.kill()

    async def stop(self) -> None:
        """Let it exit; kill it if it does not, or if it is not ready and so has no turn."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        if not self.ready and self._process.returncode is None:
            self._process.kill()
        try:
            await asyncio.wait_for(self._process.wait(), _STOP_TIMEOUT)
        except TimeoutError:
            self._process.kill()
            await self._process.wait()

    async def exit_report(self) -> str:
        """Exit code and last lines of stderr, for a worker that exited unexpectedly."""
        code = await self._process.wait()
        return "\n".join([f"{self} exited unexpectedly, with code {code}", *self._stderr])

    async def _read_stderr(self) -> None:
        assert self._process.stderr is not None
        async for line in self._process.stderr:
            self._stderr.append(line.decode(errors="replace").rstrip())

    def _write(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
