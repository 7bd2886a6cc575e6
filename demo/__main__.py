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
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from secrets import token_hex

from rich.console import Console

from demo import verdict
from demo.board import Board
from demo.conductor import Conductor, DemoFailed
from demo.ledger import Ledger
from demo.recording import Recording
from demo.setup import Setup
from demo.statement import is_good, statement
from demo.view import Picture, watched
from turnwise import TurnwiseError, connect

_TTL = 3600.0
_MEMORY = "/dev/shm"
_FAILED = 1
_INTERRUPTED = 130  # as shells have it


def main() -> int:
    options = arguments()
    console = Console(highlight=False)
    try:
        with store_url(options.url) as url:
            return asyncio.run(demo(options, url, console))
    except (DemoFailed, TurnwiseError) as error:
        console.print(f"FAILED: {error}", style="bold red", markup=False)
        return _FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        console.print("interrupted; all workers have ended")
        return _INTERRUPTED


async def demo(options: argparse.Namespace, url: str, console: Console) -> int:
    """Replay, check, say so; 0 if everything is as recorded."""
    end_on_sigterm()
    recording = Recording(options.conversations)
    ttl = None if options.keep else _TTL
    setup = Setup(url, f"demo-{token_hex(4)}", options.conversations, options.pace, ttl)
    board = Board(len(recording.turns), len(recording.conversations), Ledger(recording))
    picture = Picture(options.svg) if options.svg else None
    store = options.url.partition(":")[0] if options.url else url  # no password is shown
    console.print(
        f"{board.conversations} recorded conversations with {board.turns} turns, "
        f"{options.workers} worker processes, on {store}"
    )
    async with cleared(recording, setup, keep=options.keep):
        async with watched(board, console, picture):
            conductor = Conductor(recording, setup, board, kills=options.kills, seed=options.seed)
            await conductor.run(options.workers)
        if options.tamper:
            await verdict.tamper(recording, setup)
        found = await verdict.examine(recording, setup)
    end = statement(board, found, recording)
    console.print(end)
    if picture is not None:
        picture.save(end)
    return 0 if is_good(board, found) else _FAILED


@asynccontextmanager
async def cleared(recording: Recording, setup: Setup, *, keep: bool) -> AsyncIterator[None]:
    """A store that answers, and that is left as it was found."""
    async with connect(setup.url) as sessions:
        await sessions.ping()
    try:
        yield
    finally:
        if not keep:
            await verdict.remove(recording, setup)


@contextmanager
def store_url(given: str | None) -> Iterator[str]:
    """The store that was asked for, or else a SQLite file that is gone afterwards."""
    if given is not None:
        if given.startswith("memory:"):
            raise DemoFailed("several processes cannot share memory://; name a store that they can")
        yield given
        return
    # A demo need not survive a power cut: where there is a folder in memory, no disk is waited for.
    memory = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="turnwise-demo-", dir=memory) as folder:
        yield f"sqlite:///{folder}/sessions.db"


def end_on_sigterm() -> None:
    """As on Ctrl-C, which asyncio.run turns into a cancellation."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    add = parser.add_argument
    add("--url", help="the store: redis://…, sqlite:///… (default: a temporary SQLite file)")
    add("--conversations", type=int, help="how many to replay (default: all)")
    add("--workers", type=int, default=3, help="processes at a time, 2 or more (3)")
    add("--kills", type=int, default=4, help="how many to kill, every other in mid-tool (4)")
    add("--pace", type=float, default=0.15, help="seconds that a model call or a tool takes (0.15)")
    add("--seed", type=int, default=0, help="of the order of the conversations (0)")
    add("--keep", action="store_true", help="leave the sessions in the store")
    add("--tamper", action="store_true", help="add an item before the check, to see it fail")
    add("--svg", type=Path, help="write a picture of the demo to this file")
    options = parser.parse_args()
    if options.workers < 2:
        parser.error("--workers: with one process no turn can be served by another")
    return options


if __name__ == "__main__":
    sys.exit(main())
