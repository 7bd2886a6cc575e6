"""`turnwise worker module:agents`: a background worker as a process."""

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
    agents: Annotated[str, typer.Argument(help="module:name of the agents, by name or in a list.")],
    url: Url,
    concurrency: Annotated[int, typer.Option(help="Sessions at a time.", min=1)] = 50,
    grace: Annotated[float, typer.Option(help="Seconds for running turns at the end.")] = 20.0,
    max_attempts: Annotated[int, typer.Option(help="Until a dead letter.", min=1)] = 3,
    backoff: Annotated[float, typer.Option(help="Seconds after a first failure.")] = 1.0,
    on_dead: Annotated[str, typer.Option(help="What a session does: next, or stop.")] = "next",
    lease: Annotated[float, typer.Option(help="Seconds until a dead worker is noticed.")] = 15.0,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Run the messages that were submitted, until SIGTERM or SIGINT."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    for noisy in ("httpx", "openai"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    found = loaded(agents)
    let_what_is_loaded_be()
    policy = Policy(max_attempts=max_attempts, backoff=backoff, on_dead=_on_dead(on_dead))

    async def work(session: Session) -> None:
        await serve(Worker(session, found, concurrency=concurrency, grace=grace, policy=policy))

    with_sessions(work, url, key_prefix, lease=lease)


async def serve(worker: Worker) -> None:
    """Run a worker until a signal says to stop."""
    loop = asyncio.get_running_loop()
    for wish in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(wish, worker.stop)
    logging.getLogger("turnwise").info("worker is ready")
    await worker.run()
    logging.getLogger("turnwise").info("worker has ended after %d turns", worker.turns)


def let_what_is_loaded_be() -> None:
    """Keep the garbage collector from all that this process has loaded.

    A full collection looks through it each time, and all turns wait for that: the SDK alone brings
    190,000 objects, which take 0.15 s.
    """
    gc.collect()
    gc.freeze()


def loaded(reference: str) -> Any:
    """The object that `module:name` names; the folder at hand is looked in too."""
    module, _, name = reference.partition(":")
    if not module or not name:
        raise typer.BadParameter(f"{reference!r}: use module:name, as in examples.support:agents")
    sys.path.insert(0, os.getcwd())
    try:
        return getattr(import_module(module), name)
    except (ModuleNotFoundError, AttributeError) as error:
        raise typer.BadParameter(f"{reference!r}: {error}") from None


def _on_dead(text: str) -> Literal["next", "stop"]:
    if text == "next":
        return "next"
    if text == "stop":
        return "stop"
    raise typer.BadParameter(f"--on-dead {text!r}: it is next or stop")
