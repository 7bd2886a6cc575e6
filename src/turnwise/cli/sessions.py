"""`turnwise sessions`: what is stored of conversations."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable
from typing import Annotated

import typer

from turnwise.cli.bulk import DryRun, How, Yes, carry_out
from turnwise.cli.conversation import conversation
from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, age, ago, at, print_json, show, tokens
from turnwise.cli.session_filters import (
    AnyMatch,
    Holder,
    Ids,
    Match,
    MinAge,
    MinBytes,
    State,
    Target,
    Wanted,
)
from turnwise.errors import UsageError
from turnwise.session import Session
from turnwise.turns import ttl_ms
from turnwise.types import Info, SessionSummary

app = typer.Typer(help="See the sessions.", no_args_is_help=True)
SessionId = Annotated[str, typer.Argument(help="The session's id.", metavar="SESSION")]


@app.command("list")
def list_(
    url: Url,
    match: Match = "*",
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
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
    wanted = Wanted(None, match, state, worker, min_age, min_bytes)

    async def act(session: Session) -> None:
        found, following = await wanted.sessions(session, count, cursor)
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


@app.command("show")
def show_(
    session_id: SessionId,
    url: Url,
    limit: Annotated[int, typer.Option(help="Show the last turns, so many of them.", min=1)] = 20,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show a conversation, the newest last: who said what, calls and their outputs.

    Long outputs are cut; as JSON, everything is whole. What an open turn did so far is not shown.
    """

    async def act(session: Session) -> None:
        turns = await session.history(session_id, limit=limit)
        if turns is None:
            sys.exit(f"turnwise: there is no session {session_id!r}")
        if output != Format.TABLE:
            print_json(turns, output)
            return
        for line in conversation(turns):
            typer.echo(line)

    with_sessions(act, url, key_prefix)


@app.command()
def delete(
    url: Url,
    ids: Ids = None,
    match: AnyMatch = None,
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Delete sessions, with their queues and open turns: those named, or those that filters find.

    Of those found, one that changed since then stays.
    """
    wanted = Wanted(ids, match, state, worker, min_age, min_bytes)

    async def act(session: Session, session_id: str) -> bool:
        return await session.delete(session_id, reason=reason, by=by)

    _change(wanted, ("Delete", "deleted"), act, How(dry_run, yes, output), url, key_prefix)


@app.command()
def expire(
    url: Url,
    ids: Ids = None,
    ttl: Annotated[
        float | None, typer.Option(help="How long they live from now on.", metavar="SECONDS")
    ] = None,
    never: Annotated[bool, typer.Option("--never", help="Take their expiry away.")] = False,
    match: AnyMatch = None,
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Set when sessions expire: those named, or those that filters find.

    Of those found, one that changed since then is left alone.
    """
    if (ttl is None) != never:
        raise typer.BadParameter("give --ttl SECONDS, or --never")
    ttl_ms(ttl)
    wanted = Wanted(ids, match, state, worker, min_age, min_bytes)
    done = "kept for good" if never else f"set to expire in {ttl:g} s"

    async def act(session: Session, session_id: str) -> bool:
        return await session.expire(session_id, ttl, reason=reason, by=by)

    words = "Change the expiry of", done
    _change(wanted, words, act, How(dry_run, yes, output), url, key_prefix)


def _change(
    wanted: Wanted,
    words: tuple[str, str],
    act: Callable[[Session, str], Awaitable[bool]],
    how: How,
    url: str,
    key_prefix: str,
) -> None:
    found = with_sessions(wanted.find, url, key_prefix)
    if not how.goes_on(*words, "sessions", [each.id for each in found]):
        return

    async def each(session: Session) -> None:
        async def change(target: Target) -> str:
            if await target.is_other(session):
                return "changed meanwhile"
            if await act(session, target.id):
                return words[1]
            raise UsageError(f"there is no session {target.id!r}")

        await carry_out(found, change, how.output)

    with_sessions(each, url, key_prefix)


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
