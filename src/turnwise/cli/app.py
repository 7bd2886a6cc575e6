"""The commands, put together."""

from __future__ import annotations

import typer

from turnwise.cli import (
    approvals,
    dead_letters,
    doctor,
    queues,
    sessions,
    stuck,
    turns,
    worker,
    workers,
)

app = typer.Typer(
    name="turnwise",
    help="Agent sessions that any worker can pick up.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("worker")(worker.worker)
app.command("doctor")(doctor.doctor)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(workers.app, name="workers")
app.add_typer(sessions.app, name="sessions")
app.add_typer(turns.app, name="turns")
app.add_typer(queues.app, name="queue")
app.add_typer(approvals.app, name="approvals")
app.command("stuck")(stuck.stuck)
