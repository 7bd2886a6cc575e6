"""`turnwise stuck`: sessions that do not go on by themselves."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated

import typer

from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, ago, progress
from turnwise.cli.session_filters import Match
from turnwise.fleet import StuckSession, stuck_sessions
from turnwise.session import Session

FOUND = 3
"""The exit code if something is stuck."""
_LOOKED_AT = "looked at what waits for workers, and at what silent ones held; --all: everywhere"


@verb
def stuck(
    how: Looking,
    match: Match = "*",
    all_sessions: Annotated[
        bool,
        typer.Option("--all", help="Look through all sessions, which may take minutes."),
    ] = False,
) -> None:
    """Show sessions that do not go on by themselves, the oldest first, and what lets them go on.

    Looks at what waits for workers, and at what silent ones held; with --all also for turns that
    wait for approvals, stopped sessions, and direct turns of other processes. Exits with 3 if it
    finds any.
    """
    found: list[StuckSession] = []

    async def act(session: Session) -> None:
        with progress("sessions looked at", shown=all_sessions) as looked:
            search = stuck_sessions(session.runtime, match, quick=not all_sessions, looked=looked)
            found.extend([each async for each in search])
        found.sort(key=lambda each: each.since or 0.0)
        how.show(found, _COLUMNS)
        if not all_sessions and not how.as_json:
            typer.echo(_LOOKED_AT, err=True)

    how.run(act)
    if found:
        raise typer.Exit(FOUND)


_COLUMNS: Columns[StuckSession] = {
    "SESSION": attrgetter("session_id"),
    "STATE": attrgetter("state"),
    "FOR": lambda found: ago(found.since),
    "WORKER": lambda found: found.worker or None,
    "WHY": attrgetter("why"),
    "REMEDY": attrgetter("remedy"),
}
