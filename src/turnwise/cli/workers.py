"""`turnwise workers`: the processes that run messages, and what they are told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from turnwise.cli.acting import Acting, Ending, Words, named
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, age, at
from turnwise.session import Session
from turnwise.types import WorkerInfo

app = typer.Typer(help="See the background workers, and tell them.", no_args_is_help=True)
_Names = Annotated[list[str], typer.Argument(help="As `list` shows them.", metavar="WORKER")]


@app.callback()
def workers() -> None:
    """See the background workers, and tell them what to do."""


@app.command("list")
@verb
def list_(how: Looking) -> None:
    """Show the background workers, also those that died less than a day ago."""

    async def act(session: Session) -> None:
        how.show(await session.workers(), _COLUMNS)

    how.run(act)


@app.command()
@verb
def quiet(names: _Names, how: Acting) -> None:
    """Let workers take nothing new; their running turns go on. They hear it in five seconds."""
    _order(names, how, Words("Quiet", "quiet", "workers"), Session.quiet_worker)


@app.command()
@verb
def resume(names: _Names, how: Acting) -> None:
    """Let quiet workers take messages again."""
    _order(names, how, Words("Resume", "resumed", "workers"), Session.resume_worker)


@app.command()
@verb
def stop(names: _Names, how: Ending) -> None:
    """Let workers stop, as SIGTERM does. What started them may start them again."""
    _order(names, how, Words("Stop", "told to stop", "workers"), Session.stop_worker)


def _order(
    names: list[str], how: Acting, words: Words, order: Callable[..., Awaitable[None]]
) -> None:
    how.carry_out(
        words, named(names), lambda session, worker: order(session, worker.id, **how.audit)
    )


_COLUMNS: Columns[WorkerInfo] = {
    "WORKER": lambda worker: worker.name,
    "STATE": lambda worker: worker.state,
    "HEARTBEAT": lambda worker: f"{age(worker.silent_for)} ago",
    "BUSY": lambda worker: f"{worker.active}/{worker.concurrency}",
    "AGENTS": lambda worker: ", ".join(worker.agents),
    "HOLDS": lambda worker: ", ".join(turn.session_id for turn in worker.turns),
    "VERSION": lambda worker: worker.version,
    "STARTED": lambda worker: at(worker.started_at),
}
