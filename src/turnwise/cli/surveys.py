"""`turnwise sessions tail`, `stats` and `biggest`."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any, Literal

import typer

from turnwise.cli.conversation import conversation
from turnwise.cli.exchange import progress
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, ago, at, print_json, show, tokens
from turnwise.cli.session_filters import Holder, Match, MinAge, MinBytes, State
from turnwise.cli.sessions import SessionId
from turnwise.fleet import SessionStats
from turnwise.session import Session
from turnwise.types import SessionSummary


def tail(
    session_id: SessionId,
    url: Url,
    last: Annotated[int, typer.Option(help="How many turns to begin with.", min=0)] = 10,
    follow: Annotated[bool, typer.Option(help="Go on as turns end, until Ctrl-C.")] = True,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Follow a conversation with its content: its last turns, then each that ends."""

    async def act(session: Session) -> None:
        if not follow:
            for turn in (await session.history(session_id, limit=last) or []) if last else []:
                _tell(turn, output)
            return
        async for turn in session.tail(session_id, last=last):
            _tell(turn, output)

    with suppress(KeyboardInterrupt):  # how it is ended
        with_sessions(act, url, key_prefix)


def _tell(turn: Any, output: Format) -> None:
    """A turn, as lines or as one line of JSON."""
    if output != Format.TABLE:
        print_json([turn], Format.JSONL)
        return
    for line in conversation([turn]):
        typer.echo(line)


def stats(
    url: Url,
    match: Match = "*",
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Sum up sessions: how many in each state, their size, what they consumed.

    Looks through all of them, without loading histories.
    """
    filters: Any = {"state": state, "worker": worker, "min_age": min_age, "min_bytes": min_bytes}

    async def act(session: Session) -> None:
        with progress("looking", None, to_stdout=False):
            found = await session.stats(match, **filters)
        show([found], _STATS, output)

    with_sessions(act, url, key_prefix)


def biggest(
    url: Url,
    match: Match = "*",
    count: Annotated[int, typer.Option(help="Show so many.", min=1, max=10_000)] = 20,
    by: Annotated[
        Literal["bytes", "items", "queued", "tokens"], typer.Option(help="What counts.")
    ] = "bytes",
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show the largest sessions, without content. Looks through all of them."""
    filters: Any = {"state": state, "worker": worker, "min_age": min_age, "min_bytes": min_bytes}

    async def act(session: Session) -> None:
        with progress("looking", None, to_stdout=False):
            found = await session.biggest(match, count=count, by=by, **filters)
        show(found, _BIGGEST, output)

    with_sessions(act, url, key_prefix)


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
