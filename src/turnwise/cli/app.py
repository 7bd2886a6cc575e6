"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from turnwise.cli import (
    approvals,
    audit,
    copies,
    dashboard,
    dead_letters,
    doctor,
    exchange,
    queues,
    sessions,
    stuck,
    surveys,
    top,
    turns,
    worker,
    workers,
)

app = typer.Typer(
    name="turnwise",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"turnwise {version('turnwise')}")
        raise typer.Exit


@app.callback()
def turnwise(
    _: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Agent sessions that any worker can pick up."""


# Each of its options may come from the environment, named TURNWISE_ and the option.
app.command("worker", context_settings={"auto_envvar_prefix": "TURNWISE"})(worker.worker)
app.command("dashboard")(dashboard.dashboard)
app.command("doctor")(doctor.doctor)
app.add_typer(dead_letters.app, name="dead-letters")
app.add_typer(workers.app, name="workers")
app.add_typer(sessions.app, name="sessions")
for verb in (copies.copy, copies.rewind, exchange.export):
    sessions.app.command()(verb)
for look in (surveys.tail, surveys.stats, surveys.biggest):
    sessions.app.command()(look)
sessions.app.command("import")(exchange.import_)
app.add_typer(turns.app, name="turns")
app.add_typer(queues.app, name="queue")
app.add_typer(approvals.app, name="approvals")
app.command("stuck")(stuck.stuck)
app.command("audit")(audit.audit)
app.command("top")(top.top)
