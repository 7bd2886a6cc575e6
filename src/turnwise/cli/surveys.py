"""`turnwise sessions tail`, `stats` and `biggest`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

import typer

from turnwise.cli.conversation import conversation
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, Format, ago, at, print_json, progress, tokens
from turnwise.cli.session_filters import Filters, SessionId
from turnwise.fleet import SessionStats
from turnwise.session import Session
from turnwise.types import SessionSummary


@verb
def tail(
    session_id: SessionId,
    how: Looking,
    last: Annotated[int, typer.Option(help="How many turns to begin with.", min=0)] = 10,
    follow: Annotated[bool, typer.Option(help="Go on as turns end, until Ctrl-C.")] = True,
) -> None:
    """Follow a conversation with its content: its last turns, then each that ends.

    With `-o` each is a line of JSON.
    """

    async def act(session: Session) -> None:
        if not follow:
            for turn in (await session.history(session_id, limit=last) or []) if last else []:
                _tell(turn, how)
            return
        async for turn in session.tail(session_id, last=last):
            _tell(turn, how)

    with suppress(KeyboardInterrupt):  # how it is ended
        how.run(act)


def _tell(turn: Any, how: Looking) -> None:
    """A turn, as lines or as one line of JSON."""
    if how.as_json:
        print_json([turn], Format.JSONL)
        return
    for line in conversation([turn]):
        typer.echo(line)


@verb
def stats(wanted: Filters, how: Looking) -> None:
    """Sum up sessions: how many in each state, their size, what they consumed.

    Looks through all of them, without loading histories.
    """

    async def act(session: Session) -> None:
        with progress("looking"):
            found = await session.stats(wanted.glob, **wanted.others)
        how.show([found], _STATS)

    how.run(act)


@verb
def biggest(
    wanted: Filters,
    how: Looking,
    count: Annotated[int, typer.Option(help="Show so many.", min=1, max=10_000)] = 20,
    by: Annotated[
        Literal["bytes", "items", "queued", "tokens"], typer.Option(help="What counts.")
    ] = "bytes",
) -> None:
    """Show the largest sessions, without content. Looks through all of them."""

    async def act(session: Session) -> None:
        with progress("looking"):
            found = await session.biggest(wanted.glob, count=count, by=by, **wanted.others)
        how.show(found, _BIGGEST)

    how.run(act)


_STATS: Columns[SessionStats] = {
    "SESSIONS": lambda found: found.sessions,
    "STATES": lambda found: ", ".join(f"{n} {state}" for state, n in sorted(found.states.items())),
    "ITEMS": lambda found: found.items,
    "BYTES": lambda found: found.bytes,
    "QUEUED": lambda found: found.queued,
    "USAGE": lambda found: tokens(found.usage),
    "OLDEST": lambda found: at(found.oldest),
    "NEWEST": lambda found: at(found.newest),
}
_BIGGEST: Columns[SessionSummary] = {
    "SESSION": lambda found: found.session_id,
    "BYTES": lambda found: found.bytes,
    "ITEMS": lambda found: found.items,
    "QUEUED": lambda found: found.queued,
    "USAGE": lambda found: tokens(found.usage),
    "STATE": lambda found: found.state,
    "UPDATED": lambda found: ago(found.updated_at),
}
