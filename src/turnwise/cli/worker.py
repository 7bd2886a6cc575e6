"""`turnwise worker`: a background worker as a process."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys
from importlib import import_module
from typing import Annotated, Any, Literal

import typer

from turnwise.background import Policy
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.session import Session
from turnwise.worker import Worker


def worker(
    agents: Annotated[
        str,
        typer.Argument(
            help="module:name of one agent, several, or a mapping from names to agents.",
            metavar="MODULE:NAME",
        ),
    ],
    url: Url,
    concurrency: Annotated[
        int, typer.Option(help="How many sessions are served at the same time.", min=1)
    ] = 50,
    grace: Annotated[
        float,
        typer.Option(
            help="How long running turns may take to finish after SIGTERM; then other workers "
            "continue them.",
            metavar="SECONDS",
        ),
    ] = 20.0,
    max_attempts: Annotated[
        int, typer.Option(help="Failed attempts after which a message is dead-lettered.", min=1)
    ] = 3,
    backoff: Annotated[
        float,
        typer.Option(
            help="Pause after a first failed attempt; doubles each time, up to 60.",
            metavar="SECONDS",
        ),
    ] = 1.0,
    on_dead: Annotated[
        Literal["next", "stop"],
        typer.Option(help="After a dead letter its session runs the next message, or stops."),
    ] = "next",
    lease: Annotated[
        float,
        typer.Option(
            help="How long a worker that no longer answers keeps its turns.", metavar="SECONDS"
        ),
    ] = 15.0,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Run submitted messages, until SIGTERM or SIGINT."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for noisy in ("httpx", "openai"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    found = load(agents)
    freeze_garbage_collector()
    policy = Policy(max_attempts=max_attempts, backoff=backoff, on_dead=on_dead)

    async def work(session: Session) -> None:
        await serve(Worker(session, found, concurrency=concurrency, grace=grace, policy=policy))

    with_sessions(work, url, key_prefix, lease=lease)


async def serve(worker: Worker) -> None:
    """Run a worker until SIGTERM or SIGINT."""
    log, loop = logging.getLogger("turnwise"), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, worker.stop)
    log.info("worker is ready")
    await worker.run()
    log.info("worker has ended after %d turns", worker.turns)


def freeze_garbage_collector() -> None:
    """Exclude all objects loaded so far from garbage collection.

    A full collection visits them each time, and all turns wait for that: the SDK alone loads
    190,000 objects, which take 0.15 s.
    """
    gc.collect()
    gc.freeze()


def load(reference: str) -> Any:
    """Import the object that `module:name` names; the working directory is on the path."""
    module, _, name = reference.partition(":")
    if not module or not name:
        raise typer.BadParameter(f"{reference!r}: use module:name, as in examples.support:agents")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise typer.BadParameter(f"{reference!r}: {error}") from None
