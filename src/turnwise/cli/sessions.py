"""`turnwise sessions`: what is stored of conversations."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, ago, at, show
from turnwise.session import Session
from turnwise.types import Info, SessionSummary

app = typer.Typer(help="See the sessions.", no_args_is_help=True)
SessionId = Annotated[str, typer.Argument(help="The session's id.", metavar="SESSION")]
Match = Annotated[str, typer.Option(help="A glob that the ids match.", metavar="GLOB")]
_LOOK_AT = 500
"""How many sessions one call looks at."""


@app.command("list")
def list_(
    url: Url,
    match: Match = "*",
    state: Annotated[
        str | None,
        typer.Option(
            help="Only those: idle, queued, running, retrying, dead, parked, stopped, newer or "
            "unreadable.",
            metavar="STATE",
        ),
    ] = None,
    worker: Annotated[
        str | None, typer.Option(help="Only those whose open turn this worker has, or had last.")
    ] = None,
    min_age: Annotated[
        float | None,
        typer.Option(help="Only those that did not change for so long.", metavar="SECONDS"),
    ] = None,
    min_bytes: Annotated[
        int | None, typer.Option(help="Only those that take as many bytes or more.")
    ] = None,
    count: Annotated[int, typer.Option(help="Stop when so many are found.", min=1)] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the last call stopped; it says where.")
    ] = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show sessions without their content, in the order of the store.

    A few more than `--count` may come. If there are others, standard error has the next `--cursor`.
    """
    wanted: dict[str, Any] = {"state": state, "worker": worker}
    wanted |= {"min_age": min_age, "min_bytes": min_bytes}

    async def act(session: Session) -> None:
        found, following = list[SessionSummary](), cursor
        while True:
            page = await session.sessions(
                match, **wanted, cursor=following, count=min(count, _LOOK_AT)
            )
            found, following = found + page.sessions, page.cursor
            if following is None or len(found) >= count:
                break
        show(found, _COLUMNS, output)
        if following is not None:
            typer.echo(f"there are more: --cursor {following}", err=True)

    with_sessions(act, url, key_prefix)


@app.command()
def info(
    session_id: SessionId, url: Url, output: Output = Format.TABLE, key_prefix: KeyPrefix = PREFIX
) -> None:
    """Show what is known of one session besides its content."""

    async def act(session: Session) -> None:
        found = await session.info(session_id)
        if found is None:
            sys.exit(f"turnwise: there is no session {session_id!r}")
        show([found], _INFO, output)

    with_sessions(act, url, key_prefix)


_COLUMNS: Columns[SessionSummary] = {
    "SESSION": lambda found: found.session_id,
    "STATE": lambda found: found.state,
    "FOR": lambda found: ago(found.since),
    "TURN": lambda found: found.open_turn and found.open_turn.turn_id,
    "WORKER": lambda found: found.open_turn and found.open_turn.worker,
    "QUEUED": lambda found: found.queued,
    "ITEMS": lambda found: found.items,
    "BYTES": lambda found: found.bytes,
    "UPDATED": lambda found: at(found.updated_at),
    "ERROR": lambda found: found.error or "",
}
_INFO: Columns[Info] = {
    "SESSION": lambda found: found.session_id,
    "ITEMS": lambda found: found.items,
    "TURNS": lambda found: found.turns,
    "BYTES": lambda found: found.bytes,
    "QUEUED": lambda found: found.queued,
    "JOURNAL": lambda found: found.journal_entries,
    "CREATED": lambda found: at(found.created_at),
    "UPDATED": lambda found: at(found.updated_at),
    "EXPIRES IN": lambda found: age(found.expires_in),
    "TURN": lambda found: found.open_turn and found.open_turn.turn_id,
    "STATE": lambda found: found.open_turn and found.open_turn.state,
    "ATTEMPT": lambda found: found.open_turn and found.open_turn.attempt,
    "WORKER": lambda found: found.open_turn and found.open_turn.worker,
    "LEASE": lambda found: found.open_turn and age(found.open_turn.lease_remaining),
}
