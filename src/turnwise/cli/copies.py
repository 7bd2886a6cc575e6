"""`turnwise sessions copy` and `rewind`."""

from __future__ import annotations

from typing import Annotated

import typer

from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.sessions import SessionId
from turnwise.printable import printable
from turnwise.session import Session


def copy(
    session_id: SessionId,
    new_id: Annotated[str, typer.Argument(help="The new session's id.", metavar="NEW")],
    url: Url,
    at: Annotated[
        str | None, typer.Option(help="The last turn to copy; all of them if left out.")
    ] = None,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Copy a conversation, whole or up to a turn. The session itself stays as it is."""

    async def act(session: Session) -> None:
        count = await session.copy(session_id, new_id, at=at, reason=reason, by=by)
        typer.echo(f"copied: {printable(session_id)} to {printable(new_id)}, {count} items")

    with_sessions(act, url, key_prefix)


def rewind(
    session_id: SessionId,
    turn_id: Annotated[str, typer.Argument(help="The last turn that stays.", metavar="TURN")],
    url: Url,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    reason: Reason = None,
    by: By = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Take a conversation back to the end of a turn. Refused while a turn is open."""
    if not yes:
        what = f"Remove what session {printable(session_id)} has behind {printable(turn_id)}?"
        typer.confirm(what, abort=True, err=True)

    async def act(session: Session) -> None:
        count = await session.rewind(session_id, to=turn_id, reason=reason, by=by)
        typer.echo(f"rewound: {printable(session_id)}, {count} items removed")

    with_sessions(act, url, key_prefix)
