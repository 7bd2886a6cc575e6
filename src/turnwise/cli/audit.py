"""`turnwise audit`: what operators did."""

from __future__ import annotations

import time
from operator import attrgetter
from typing import Annotated

import typer

from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, at
from turnwise.cli.session_filters import Match
from turnwise.fleet import AuditRecord
from turnwise.session import Session


@verb
def audit(
    how: Looking,
    match: Match = "*",
    by: Annotated[
        str | None, typer.Option(help="Only what this operator did.", metavar="NAME")
    ] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this: cancel, delete …", metavar="ACTION")
    ] = None,
    max_age: Annotated[
        float | None, typer.Option(help="Only what is no older.", metavar="SECONDS", min=0)
    ] = None,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1, max=1000)] = 100,
    before: Annotated[
        int | None, typer.Option(help="Only what is older than this id.", metavar="ID", min=1)
    ] = None,
) -> None:
    """Show what operators did, the newest first: who, why, and what became of it.

    An empty outcome is an unknown one: the action may have taken effect.
    """
    since = None if max_age is None else time.time() - max_age

    async def act(session: Session) -> None:
        found = await session.audit(
            match, by=by, action=action, since=since, count=count, before=before
        )
        how.show(found, _COLUMNS)
        if len(found) == count:
            typer.echo(f"there may be more: --before {found[-1].id}", err=True)

    how.run(act)


_COLUMNS: Columns[AuditRecord] = {
    "ID": attrgetter("id"),
    "WHEN": lambda record: at(record.at),
    "WHO": attrgetter("by"),
    "ACTION": attrgetter("action"),
    "SESSION": attrgetter("session_id"),
    "TARGET": attrgetter("target"),
    "WHY": attrgetter("reason"),
    "OUTCOME": lambda record: record.outcome or "",
}
