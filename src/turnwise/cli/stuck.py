"""`turnwise stuck`: sessions that do not go on by themselves."""

from __future__ import annotations

from operator import attrgetter
from typing import Annotated

import typer

from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, ago, counting, show
from turnwise.cli.session_filters import Match
from turnwise.fleet import StuckSession, stuck_sessions
from turnwise.session import Session

FOUND = 3
"""The exit code if something is stuck."""
_LOOKED_AT = "looked at what waits for workers, and at what silent ones held; --all: everywhere"


def stuck(
    url: Url,
    match: Match = "*",
    all_sessions: Annotated[
        bool,
        typer.Option("--all", help="Look through all sessions, which may take minutes."),
    ] = False,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show sessions that do not go on by themselves, the oldest first, and what lets them go on.

    Looks at what waits for workers, and at what silent ones held; with --all also for turns that
    wait for approvals, stopped sessions, and direct turns of other processes. Exits with 3 if it
    finds any.
    """
    found: list[StuckSession] = []

    async def act(session: Session) -> None:
        with counting("sessions looked at", shown=all_sessions) as looked:
            search = stuck_sessions(session.runtime, match, quick=not all_sessions, looked=looked)
            found.extend([each async for each in search])
        found.sort(key=lambda each: each.since or 0.0)
        show(found, _COLUMNS, output)
        if not all_sessions and output == Format.TABLE:
            typer.echo(_LOOKED_AT, err=True)

    with_sessions(act, url, key_prefix)
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
