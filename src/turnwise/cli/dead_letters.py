"""`turnwise dead-letters`: messages that failed for good."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from turnwise.background import DeadLetter
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.printable import printable
from turnwise.session import Session

app = typer.Typer(help="List, retry and delete messages that failed.", no_args_is_help=True)
_IDS = typer.Argument(help="Ids of dead letters, as `list` shows them.")
_DAY = 86_400


@app.command("list")
def list_(
    url: Url,
    key_prefix: KeyPrefix = PREFIX,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1)] = 100,
    after: Annotated[
        str | None, typer.Option(help="Show those behind this dead letter.", metavar="ID")
    ] = None,
    stopped: Annotated[
        bool, typer.Option(help="Show the dead letters at which sessions are stopped, instead.")
    ] = False,
) -> None:
    """Show dead letters, oldest first, without the messages' content.

    Each line holds, separated by tabs: id, time (UTC), state, session id, turn id, agent, failed
    attempts, last error. What is not printable is escaped: no id forges a line.
    """

    async def show(session: Session) -> None:
        if stopped:
            async for letter in session.stopped_sessions():
                typer.echo(_row(letter))
            return
        for letter in await session.dead_letters(count, after):
            typer.echo(_row(letter))

    with_sessions(show, url, key_prefix)


@app.command()
def retry(ids: Annotated[list[str], _IDS], url: Url, key_prefix: KeyPrefix = PREFIX) -> None:
    """Submit messages again, at the end of their sessions' queues."""

    async def act(session: Session) -> None:
        for dead_letter_id in ids:
            await session.retry_dead_letter(dead_letter_id)
            typer.echo(f"retried {printable(dead_letter_id)}: its message is queued again")

    with_sessions(act, url, key_prefix)


@app.command()
def delete(
    url: Url,
    ids: Annotated[list[str] | None, _IDS] = None,
    older_than: Annotated[
        float | None,
        typer.Option(
            help="Delete those that failed at least this many days ago.", metavar="DAYS", min=0
        ),
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Delete all dead letters.")] = False,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Delete dead letters: some, those older than so many days, or all."""
    if sum((bool(ids), older_than is not None, every)) != 1:
        raise typer.BadParameter("give ids, --older-than DAYS, or --all")

    async def act(session: Session) -> None:
        for letter in ids or await _older(session, 0 if every else older_than or 0):
            await session.delete_dead_letter(letter)
            typer.echo(f"deleted {printable(letter if isinstance(letter, str) else letter.id)}")

    with_sessions(act, url, key_prefix)


async def _older(session: Session, days: float) -> list[DeadLetter]:
    """The dead letters that are here now and failed at least so many days ago."""
    found: list[DeadLetter] = []
    while page := await session.dead_letters(after=found[-1].id if found else None):
        found += page
    latest = time.time() - days * _DAY
    return [letter for letter in found if not days or letter.failed_at <= latest]


def _row(letter: DeadLetter) -> str:
    at = datetime.fromtimestamp(letter.failed_at, UTC).isoformat(timespec="seconds")
    error, attempts = letter.error.partition("\n")[0], str(letter.attempts)
    ids = letter.session_id, letter.turn_id, letter.agent
    fields = letter.id, at, letter.state, *ids, attempts, error
    return "\t".join(map(printable, fields))
