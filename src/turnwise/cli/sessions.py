"""`turnwise sessions`: what is stored of conversations."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from turnwise.cli.acting import Ending, Outcome, Words
from turnwise.cli.conversation import conversation
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, age, ago, at, print_json, tokens
from turnwise.cli.session_filters import Filters, SessionId, Target, Wanted
from turnwise.errors import UsageError
from turnwise.printable import printable, quoted
from turnwise.session import Session
from turnwise.turns import ttl_ms
from turnwise.types import Info, SessionSummary

app = typer.Typer(help="See the sessions.", no_args_is_help=True)


@app.command("list")
@verb
def list_(
    wanted: Filters,
    how: Looking,
    count: Annotated[int, typer.Option(help="Stop when so many are found.", min=1)] = 100,
    cursor: Annotated[
        str | None, typer.Option(help="Go on where the last call stopped; it says where.")
    ] = None,
) -> None:
    """Show sessions without their content, in the order of the store.

    A few more than `--count` may come. If there are others, standard error has the next `--cursor`.
    """

    async def act(session: Session) -> None:
        found, following = await wanted.sessions(session, count, cursor)
        how.show(found, _COLUMNS)
        if following is not None:
            typer.echo(f"there are more: --cursor {quoted(following)}", err=True)

    how.run(act)


@app.command()
@verb
def info(session_id: SessionId, how: Looking) -> None:
    """Show what is known of one session besides its content."""

    async def act(session: Session) -> None:
        found = await session.info(session_id)
        if found is None:
            sys.exit(f"turnwise: there is no session {session_id!r}")
        how.show([found], _INFO)

    how.run(act)


@app.command("show")
@verb
def show_(
    session_id: SessionId,
    how: Looking,
    limit: Annotated[int, typer.Option(help="Show the last turns, so many of them.", min=1)] = 20,
) -> None:
    """Show a conversation, the newest last: who said what, calls and their outputs.

    Long outputs are cut; as JSON, everything is whole. What an open turn did so far is not shown.
    """

    async def act(session: Session) -> None:
        turns = await session.history(session_id, limit=limit)
        if turns is None:
            sys.exit(f"turnwise: there is no session {session_id!r}")
        if how.as_json:
            print_json(turns, how.output)
            return
        if (info := await session.info(session_id)) and info.owner:
            typer.echo(f"owner: {printable(info.owner)}\n")
        for line in conversation(turns):
            typer.echo(line)

    how.run(act)


@app.command()
@verb
def delete(wanted: Wanted, how: Ending) -> None:
    """Delete sessions, with their queues and open turns: those named, or those that filters find.

    Of those found, one that changed since then stays.
    """

    async def act(session: Session, session_id: str) -> bool:
        return await session.delete(session_id, **how.audit)

    _change(wanted, how, Words("Delete", "deleted", "sessions"), act)


@app.command()
@verb
def expire(
    wanted: Wanted,
    how: Ending,
    ttl: Annotated[
        float | None, typer.Option(help="How long they live from now on.", metavar="SECONDS")
    ] = None,
    never: Annotated[bool, typer.Option("--never", help="Take their expiry away.")] = False,
) -> None:
    """Set when sessions expire: those named, or those that filters find.

    Of those found, one that changed since then is left alone.
    """
    if (ttl is None) != never:
        raise typer.BadParameter("give --ttl SECONDS, or --never")
    ttl_ms(ttl)
    done = "kept for good" if never else f"set to expire in {ttl:g} s"

    async def act(session: Session, session_id: str) -> bool:
        return await session.expire(session_id, ttl, **how.audit)

    _change(wanted, how, Words("Change the expiry of", done, "sessions"), act)


def _change(
    wanted: Wanted, how: Ending, words: Words, act: Callable[[Session, str], Awaitable[bool]]
) -> None:
    async def change(session: Session, target: Target) -> Outcome | None:
        if await target.is_other(session):
            return Outcome(target.id, "changed meanwhile")
        if not await act(session, target.id):
            raise UsageError(f"there is no session {target.id!r}")
        return None

    how.carry_out(words, how.run(wanted.find), change)


_COLUMNS: Columns[SessionSummary] = {
    "SESSION": lambda found: found.session_id,
    "OWNER": lambda found: found.owner,
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
    "OWNER": lambda found: found.owner,
    "ITEMS": lambda found: found.items,
    "TURNS": lambda found: found.turns,
    "BYTES": lambda found: found.bytes,
    "USAGE": lambda found: tokens(found.usage),
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
