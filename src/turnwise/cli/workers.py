"""`turnwise workers`: the processes that run messages."""

from __future__ import annotations

import typer

from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, at, show
from turnwise.session import Session
from turnwise.types import WorkerInfo

app = typer.Typer(help="See the background workers.", no_args_is_help=True)


@app.callback()
def workers() -> None:
    """See the background workers."""


@app.command("list")
def list_(url: Url, output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX) -> None:
    """Show the background workers, also those that died less than a day ago."""

    async def act(session: Session) -> None:
        show(await session.workers(), _COLUMNS, output)

    with_sessions(act, url, key_prefix)


def _state(worker: WorkerInfo) -> str:
    if not worker.alive:
        return "silent"
    return "stopping" if worker.stopping else "alive"


_COLUMNS: Columns[WorkerInfo] = {
    "WORKER": lambda worker: worker.name,
    "STATE": _state,
    "HEARTBEAT": lambda worker: f"{age(worker.silent_for)} ago",
    "BUSY": lambda worker: f"{worker.active}/{worker.concurrency}",
    "AGENTS": lambda worker: ", ".join(worker.agents),
    "HOLDS": lambda worker: ", ".join(turn.session_id for turn in worker.turns),
    "VERSION": lambda worker: worker.version,
    "STARTED": lambda worker: at(worker.started_at),
}
