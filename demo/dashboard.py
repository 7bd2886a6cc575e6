"""The dashboard beside the demo: kills and takeovers can be watched in a browser."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

_STOP_TIMEOUT = 5.0


@asynccontextmanager
async def dashboard_of(url: str, tell: Callable[[str], None], *options: str) -> AsyncIterator[None]:
    """Serve it during the block, and tell its address, or why there is none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "turnwise.cli", "dashboard", "--port", "0", *options),
        env={**os.environ, "TURNWISE_URL": url},
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # Ctrl-C at the terminal reaches the demo only
    )
    telling = asyncio.create_task(_tell(process, tell))
    try:
        yield
    finally:
        telling.cancel()
        await _stop(process)


async def _tell(process: Process, tell: Callable[[str], None]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await process.stdout.readline()).decode().strip()
    if not line:
        why = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        line = f"no dashboard: {why[-1] if why else 'it ended'}"
    tell(line)


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()
