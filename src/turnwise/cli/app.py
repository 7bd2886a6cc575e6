"""The commands, put together."""

from __future__ import annotations

import typer

from turnwise.cli import dead_letters, doctor, worker, workers

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
