"""`turnwise stuck`: sessions that do not go on by themselves."""

from __future__ import annotations

from operator import attrgetter

import typer

from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, ago, show
from turnwise.cli.session_filters import Match
from turnwise.fleet import StuckSession
from turnwise.session import Session

FOUND = 3
"""The exit code if something is stuck."""


def stuck(
    url: Url, match: Match = "*", output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX
) -> None:
    """Show sessions that do not go on by themselves, the oldest first, and what lets them go on.

    Looks through all sessions. Exits with 3 if it finds any.
    """
    found: list[StuckSession] = []

    async def act(session: Session) -> None:
        found.extend([each async for each in session.stuck(match)])
        found.sort(key=lambda each: each.since or 0.0)
        show(found, _COLUMNS, output)

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
