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
    dev,
    doctor,
    exchange,
    keys,
    queues,
    serve,
    sessions,
    stuck,
    surveys,
    top,
    turns,
    worker,
    workers,
)

SERVERS = "Run until SIGTERM or SIGINT"
"""The commands that print no result."""
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


for name, verbs in (
    ("sessions", sessions),
    ("turns", turns),
    ("workers", workers),
    ("queue", queues),
    ("dead-letters", dead_letters),
    ("approvals", approvals),
    ("keys", keys),
):
    app.add_typer(verbs.app, name=name)
for verb in (copies.copy, copies.rewind, exchange.export):
    sessions.app.command()(verb)
sessions.app.command("import")(exchange.import_)
for look in (surveys.tail, surveys.stats, surveys.biggest):
    sessions.app.command()(look)
for look in (stuck.stuck, audit.audit, top.top, doctor.doctor):
    app.command()(look)
# Each option of these may come from the environment, named TURNWISE_ and the option.
environment = {"auto_envvar_prefix": "TURNWISE"}
for program in (worker.worker, serve.serve):
    app.command(rich_help_panel=SERVERS, context_settings=environment)(program)
for program in (dashboard.dashboard, dev.dev):
    app.command(rich_help_panel=SERVERS)(program)
