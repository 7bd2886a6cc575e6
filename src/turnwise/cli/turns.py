"""`turnwise turns`: end a turn, whichever process runs it."""

from __future__ import annotations

from typing import Annotated

import typer

from turnwise.cli.options import PREFIX, By, KeyPrefix, Url, with_sessions
from turnwise.cli.sessions import SessionId
from turnwise.printable import printable
from turnwise.session import Session
from turnwise.turns import GRACE

app = typer.Typer(help="End turns.", no_args_is_help=True)


@app.callback()
def turns() -> None:
    """End turns."""


@app.command()
def cancel(
    session_id: SessionId,
    url: Url,
    turn_id: Annotated[
        str | None, typer.Argument(help="The turn; the open one if left out.", metavar="TURN")
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(help="Why, for the audit, and for its sender.", metavar="TEXT"),
    ] = None,
    by: By = None,
    timeout: Annotated[
        float, typer.Option(help="How long its worker has to end it.", metavar="SECONDS", min=0)
    ] = GRACE,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Cancel a turn: nothing of it is committed. A queued message is dropped."""
    what = f"turn {printable(turn_id)}" if turn_id else "the open turn"
    if not yes:
        typer.confirm(f"Cancel {what} of session {printable(session_id)}?", abort=True, err=True)

    async def act(session: Session) -> None:
        how = {"reason": reason, "by": by}
        done = await session.cancel(session_id, turn_id, timeout=timeout, **how)
        typer.echo(f"{done.outcome}: {printable(done.turn_id or what)}")

    with_sessions(act, url, key_prefix)
