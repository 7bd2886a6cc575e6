"""Replays recorded conversations with several worker processes, kills some, and checks the store.

python -m demo [--url redis://localhost:6379/0]
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from secrets import token_hex

from rich.console import Console

from demo import checks
from demo.call_tracker import CallTracker
from demo.config import Config
from demo.dashboard import dashboard_of
from demo.orchestrator import DemoFailed, Orchestrator
from demo.recording import Recording
from demo.status import Status
from demo.summary import passed, summary
from demo.view import Screenshot, live_view
from turnwise import TurnwiseError, connect

_TTL = 3600.0
_MEMORY = "/dev/shm"
_EXIT_FAILED = 1
_EXIT_INTERRUPTED = 130  # as in shells


def main() -> int:
    options = arguments()
    console = Console(highlight=False)
    try:
        with store_url(options.url) as url:
            return asyncio.run(demo(options, url, console))
    except (DemoFailed, TurnwiseError) as error:
        console.print(f"FAILED: {error}", style="bold red", markup=False)
        return _EXIT_FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; all workers are stopped")
        return _EXIT_INTERRUPTED


async def demo(options: argparse.Namespace, url: str, console: Console) -> int:
    """Replay, check, print the summary; returns 0 if the checks pass."""
    cancel_on_sigterm()
    recording = Recording(options.conversations)
    ttl = None if options.keep else _TTL
    config = Config(url, f"demo-{token_hex(4)}", options.conversations, options.pace, ttl)
    status = Status(len(recording.turns), len(recording.conversations), CallTracker(recording))
    screenshot = Screenshot(options.svg) if options.svg else None
    store = options.url.partition(":")[0] if options.url else url  # no password is printed
    console.print(
        f"{status.total_conversations} recorded conversations with {status.total_turns} turns, "
        f"{options.workers} worker processes, on {store}"
    )
    async with cleaned_up(recording, config, keep=options.keep):
        async with AsyncExitStack() as stack:
            if options.dashboard:
                # It only shows: the checks would notice a turn that somebody cancels.
                await stack.enter_async_context(dashboard_of(url, console.out, "--read-only"))
            await stack.enter_async_context(live_view(status, console, screenshot))
            orchestrator = Orchestrator(
                recording, config, status, kills=options.kills, seed=options.seed
            )
            await orchestrator.run(options.workers)
        if options.tamper:
            await checks.tamper(recording, config)
        result = await checks.check_store(recording, config)
    conclusion = summary(status, result, recording)
    console.print(conclusion)
    if screenshot is not None:
        screenshot.save(conclusion)
    return 0 if passed(status, result) else _EXIT_FAILED


@asynccontextmanager
async def cleaned_up(recording: Recording, config: Config, *, keep: bool) -> AsyncIterator[None]:
    """Check that the store answers; delete the demo's sessions at the end, unless `keep`."""
    async with connect(config.url) as sessions:
        await sessions.ping()
    try:
        yield
    finally:
        if not keep:
            await checks.delete_sessions(recording, config)


@contextmanager
def store_url(given: str | None) -> Iterator[str]:
    """The given store, or a temporary SQLite file."""
    if given is not None:
        if given.startswith("memory:"):
            raise DemoFailed("several processes cannot share memory://; use a store that they can")
        yield given
        return
    # The demo need not survive a power cut: a file system in memory, if there is one, is faster.
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="turnwise-demo-", dir=memory) as folder:
        yield f"sqlite:///{folder}/sessions.db"


def cancel_on_sigterm() -> None:
    """Handle SIGTERM as asyncio.run handles Ctrl-C: cancel the main task."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    add = parser.add_argument
    add("--url", help="the store: redis://…, sqlite:///… (default: a temporary SQLite file)")
    add("--conversations", type=int, help="how many to replay (default: all)")
    add("--workers", type=int, default=3, help="how many processes at a time, at least 2 (3)")
    add("--kills", type=int, default=4, help="how many workers to kill, every other in a tool (4)")
    add("--pace", type=float, default=0.15, help="seconds that a model or tool call takes (0.15)")
    add("--seed", type=int, default=0, help="for the order of the conversations (0)")
    add("--keep", action="store_true", help="leave the sessions in the store")
    add("--tamper", action="store_true", help="add an item before the checks, to see them fail")
    add("--no-dashboard", dest="dashboard", action="store_false", help="run no dashboard beside it")
    add("--svg", type=Path, help="write a picture of the demo to this file")
    options = parser.parse_args()
    if options.workers < 2:
        parser.error("--workers: at least 2, since each turn must run on another one than the last")
    return options


if __name__ == "__main__":
    sys.exit(main())
