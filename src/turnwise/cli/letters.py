"""`turnwise letters`: messages that were given up."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import typer

from turnwise.background import DeadLetter
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.session import Session

app = typer.Typer(help="Messages that were given up: list, retry, drop.", no_args_is_help=True)
Ids = Annotated[list[str], typer.Argument(help="Ids of letters, as `list` shows them.")]


@app.command("list")
def list_letters(
    url: Url,
    key_prefix: KeyPrefix = PREFIX,
    count: Annotated[int, typer.Option(help="At most so many.", min=1)] = 100,
    after: Annotated[str | None, typer.Option(help="Those behind this letter.")] = None,
) -> None:
    """Show dead letters, the oldest first, without what the messages say."""

    async def show(session: Session) -> None:
        for letter in await session.letters(count, after):
            typer.echo(_line(letter))

    with_sessions(show, url, key_prefix)


@app.command()
def retry(ids: Ids, url: Url, key_prefix: KeyPrefix = PREFIX) -> None:
    """Submit them again."""

    async def act(session: Session) -> None:
        for letter_id in ids:
            await session.retry(letter_id)
            typer.echo(f"{letter_id} is in its session's queue again")

    with_sessions(act, url, key_prefix)


@app.command()
def drop(ids: Ids, url: Url, key_prefix: KeyPrefix = PREFIX) -> None:
    """Throw them away."""

    async def act(session: Session) -> None:
        for letter_id in ids:
            await session.drop(letter_id)
            typer.echo(f"{letter_id} is dropped")

    with_sessions(act, url, key_prefix)


def _line(letter: DeadLetter) -> str:
    at = datetime.fromtimestamp(letter.at, UTC).isoformat(timespec="seconds")
    fields = letter.id, at, letter.state, letter.session_id, letter.turn_id, letter.agent
    return "\t".join((*fields, str(letter.attempts), letter.error.partition("\n")[0]))
