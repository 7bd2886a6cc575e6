"""`turnwise dead-letters`: messages that were given up."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Annotated

import typer

from turnwise.background import DeadLetter
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.session import Session

app = typer.Typer(help="Messages that were given up: list, retry, drop.", no_args_is_help=True)
Ids = Annotated[list[str], typer.Argument(help="Ids of letters, as `list` shows them.")]
SomeIds = Annotated[list[str] | None, typer.Argument(help="Ids of letters, as `list` shows them.")]
Days = Annotated[float | None, typer.Option(help="Those given up so many days ago.", min=0)]


@app.command("list")
def list_letters(
    url: Url,
    key_prefix: KeyPrefix = PREFIX,
    count: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    after: Annotated[str | None, typer.Option(help="Those behind this letter.")] = None,
    stopped: Annotated[bool, typer.Option(help="Where sessions were stopped, instead.")] = False,
) -> None:
    """Show dead letters, the oldest first, without what the messages say."""

    async def show(session: Session) -> None:
        if stopped:
            async for letter in session.stopped_sessions():
                typer.echo(_line(letter))
            return
        for letter in await session.dead_letters(count, after):
            typer.echo(_line(letter))

    with_sessions(show, url, key_prefix)


@app.command()
def retry(ids: Ids, url: Url, key_prefix: KeyPrefix = PREFIX) -> None:
    """Submit them again."""

    async def act(session: Session) -> None:
        for dead_letter_id in ids:
            await session.retry_dead_letter(dead_letter_id)
            typer.echo(f"{dead_letter_id} is in its session's queue again")

    with_sessions(act, url, key_prefix)


@app.command()
def drop(
    url: Url,
    ids: SomeIds = None,
    older_than: Days = None,
    every: Annotated[bool, typer.Option("--all", help="Every dead letter.")] = False,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Throw them away: some, those older than so many days, or all."""
    if sum((bool(ids), older_than is not None, every)) != 1:
        raise typer.BadParameter("give ids, or --older-than DAYS, or --all")

    async def act(session: Session) -> None:
        for dead_letter_id in ids or await _older(session, 0 if every else older_than or 0):
            await session.delete_dead_letter(dead_letter_id)
            typer.echo(f"{dead_letter_id} is dropped")

    with_sessions(act, url, key_prefix)


async def _older(session: Session, days: float) -> list[str]:
    """The letters that were there at the beginning, and were given up before that."""
    found: list[DeadLetter] = []
    while page := await session.dead_letters(after=found[-1].id if found else None):
        found += page
    last = time.time() - days * 86_400
    return [letter.id for letter in found if not days or letter.at <= last]


def _line(letter: DeadLetter) -> str:
    at = datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="seconds")
    fields = letter.id, at, letter.state, letter.session_id, letter.turn_id, letter.agent
    return "\t".join((*fields, str(letter.attempts), letter.error.partition("\n")[0]))
