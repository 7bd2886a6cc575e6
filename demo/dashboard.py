"""The dashboard beside the demo: kills and takeovers can be watched in a browser.

    python -m demo.dashboard [--read-only]

The first line of its standard input is the store's URL. It ends when its input ends.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from demo.worker import standard_input
from turnwise import connect
from turnwise.dashboard.serve import serve

_STOP_TIMEOUT = 5.0


@asynccontextmanager
async def dashboard_of(url: str, tell: Callable[[str], None], *options: str) -> AsyncIterator[None]:
    """Serve it during the block, by a process of its own; tell its address, or why it has none."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "demo.dashboard", *options),
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,  # Ctrl-C at the terminal reaches the demo only
    )
    assert process.stdin is not None
    process.stdin.write(f"{url}\n".encode())
    telling = asyncio.create_task(_tell(process, tell))
    try:
        yield
    finally:
        telling.cancel()
        process.stdin.close()
        await _end(process)


async def _tell(process: Process, tell: Callable[[str], None]) -> None:
    assert process.stdout is not None
    assert process.stderr is not None
    line = (await process.stdout.readline()).decode().strip()
    if not line:
        why = (await process.stderr.read()).decode(errors="replace").strip().splitlines()
        line = f"no dashboard: {why[-1] if why else 'it ended'}"
    tell(line)


async def _end(process: Process) -> None:
    try:
        await asyncio.wait_for(process.wait(), _STOP_TIMEOUT)
    except TimeoutError:
        process.kill()
        await process.wait()


async def main(read_only: bool) -> None:
    lines = standard_input()
    async with connect(await anext(lines)) as session:
        serving = asyncio.create_task(
            serve(
                session,
                "127.0.0.1",
                0,
                authenticate=None,
                read_only=read_only,
                on_ready=lambda address: print(f"dashboard at {address}", flush=True),
            )
        )
        ended = asyncio.create_task(anext(lines, None))
        await asyncio.wait([serving, ended], return_when=asyncio.FIRST_COMPLETED)
        for task in (serving, ended):
            task.cancel()
        await asyncio.wait([serving, ended])


if __name__ == "__main__":
    asyncio.run(main("--read-only" in sys.argv[1:]))
