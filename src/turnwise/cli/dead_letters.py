"""`turnwise dead-letters`: messages that failed for good."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Annotated, Any, Literal

import typer

from turnwise.background import DeadLetter, require_dead_letter
from turnwise.cli.bulk import DryRun, How, Yes, carry_out
from turnwise.cli.options import PREFIX, By, KeyPrefix, Reason, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, at, show
from turnwise.session import Session

app = typer.Typer(help="List, show, retry and delete messages that failed.", no_args_is_help=True)
_Ids = Annotated[
    list[str] | None, typer.Argument(help="Ids, as `list` shows them; else filters.", metavar="ID")
]
_State = Annotated[
    Literal["dead", "queued", "finished", "unknown", "stopped"] | None,
    typer.Option(
        help="Only those in this state. `stopped`: those at which sessions are stopped, which are "
        "looked for in all sessions, and are not among the others."
    ),
]
_Match = Annotated[
    str | None,
    typer.Option(help="Only those of sessions whose ids match; '*' for all.", metavar="GLOB"),
]
_Agent = Annotated[
    str | None, typer.Option(help="Only those that this agent should have answered.")
]
_MinAge = Annotated[
    float | None, typer.Option(help="Only those that failed so long ago.", metavar="SECONDS")
]


@app.command("list")
def list_(
    url: Url,
    match: _Match = None,
    state: _State = None,
    agent: _Agent = None,
    min_age: _MinAge = None,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1)] = 100,
    after: Annotated[
        str | None, typer.Option(help="Show those behind this dead letter.", metavar="ID")
    ] = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show dead letters, oldest first, without the messages' content.

    If there are others, standard error has the next `--after`.
    """
    wanted = _Wanted(match, state, agent, min_age)

    async def act(session: Session) -> None:
        found: list[_Letter] = []
        async for letter in wanted.letters(session, after):
            if len(found) == count:
                typer.echo(f"there are more: --after {found[-1].id}", err=True)
                break
            found.append(_without_content(letter))
        show(found, _COLUMNS, output)

    with_sessions(act, url, key_prefix)


@app.command("show")
def show_(
    dead_letter_id: Annotated[str, typer.Argument(help="As `list` shows it.", metavar="ID")],
    url: Url,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Show one dead letter with its message's content."""

    async def act(session: Session) -> None:
        found = await require_dead_letter(session.runtime, dead_letter_id)
        show([_with_content(found)], _CONTENT, output)

    with_sessions(act, url, key_prefix)


@app.command()
def retry(
    url: Url,
    ids: _Ids = None,
    match: _Match = None,
    state: _State = None,
    agent: _Agent = None,
    min_age: _MinAge = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Submit messages again, at the end of their sessions' queues: those named, or found.

    Ids are not asked about: a retry can be cancelled.
    """
    wanted = _Wanted(match, state, agent, min_age)

    async def act(session: Session, letter: DeadLetter | str) -> None:
        await session.retry_dead_letter(letter, reason=reason, by=by)

    how = How(dry_run, yes or bool(ids), output)
    _change(wanted, ids, ("Retry", "retried"), act, how, url, key_prefix)


@app.command()
def delete(
    url: Url,
    ids: _Ids = None,
    match: _Match = None,
    state: _State = None,
    agent: _Agent = None,
    min_age: _MinAge = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    reason: Reason = None,
    by: By = None,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Delete dead letters: those named, or those that filters find."""
    wanted = _Wanted(match, state, agent, min_age)

    async def act(session: Session, letter: DeadLetter | str) -> None:
        await session.delete_dead_letter(letter, reason=reason, by=by)

    how = How(dry_run, yes, output)
    _change(wanted, ids, ("Delete", "deleted"), act, how, url, key_prefix)


@dataclass(frozen=True)
class _Wanted:
    match: str | None
    state: str | None
    agent: str | None
    min_age: float | None

    async def letters(
        self, session: Session, after: str | None = None
    ) -> AsyncIterator[DeadLetter]:
        """What the filters find."""
        latest = time.time() - (self.min_age or 0)
        letters = session.stopped_sessions() if self.state == "stopped" else _all(session, after)
        async for letter in letters:
            if (
                fnmatchcase(letter.session_id, self.match or "*")
                and self.state in (None, letter.state)
                and self.agent in (None, letter.agent)
                and (self.min_age is None or letter.failed_at <= latest)
            ):
                yield letter

    def is_empty(self) -> bool:
        filters = self.match, self.state, self.agent, self.min_age
        return all(each is None for each in filters)


@dataclass(frozen=True)
class _Target:
    id: str
    letter: DeadLetter | None = None


def _change(
    wanted: _Wanted,
    ids: list[str] | None,
    words: tuple[str, str],
    act: Callable[[Session, DeadLetter | str], Awaitable[None]],
    how: How,
    url: str,
    key_prefix: str,
) -> None:
    if bool(ids) != wanted.is_empty():
        raise typer.BadParameter("give ids, or filters; --match '*' is for all")

    async def find(session: Session) -> list[_Target]:
        if ids:
            return list(map(_Target, dict.fromkeys(ids)))
        return [_Target(each.id, each) async for each in wanted.letters(session)]

    targets = with_sessions(find, url, key_prefix)
    if not how.goes_on(*words, "dead letters", [target.id for target in targets]):
        return

    async def each(session: Session) -> None:
        async def change(target: _Target) -> str:
            await act(session, target.letter or target.id)
            return words[1]

        await carry_out(targets, change, how.output)

    with_sessions(each, url, key_prefix)


async def _all(session: Session, after: str | None) -> AsyncIterator[DeadLetter]:
    while page := await session.dead_letters(after=after):
        for letter in page:
            yield letter
        after = page[-1].id


@dataclass(frozen=True)
class _Letter:
    """A dead letter without its content."""

    id: str
    session_id: str
    turn_id: str
    failed_at: float
    state: str
    agent: str
    attempts: int
    error: str


@dataclass(frozen=True)
class _Content(_Letter):
    """A dead letter with its content."""

    input: Any
    metadata: Mapping[str, Any]


def _without_content(letter: DeadLetter) -> _Letter:
    return _Letter(
        letter.id,
        letter.session_id,
        letter.turn_id,
        letter.failed_at,
        letter.state,
        letter.agent,
        letter.attempts,
        letter.error,
    )


def _with_content(letter: DeadLetter) -> _Content:
    known = vars(_without_content(letter))
    return _Content(**known, input=letter.input, metadata=letter.metadata)


_SHARED: Columns[Any] = {
    "ID": attrgetter("id"),
    "FAILED": lambda letter: at(letter.failed_at),
    "STATE": attrgetter("state"),
    "SESSION": attrgetter("session_id"),
    "TURN": attrgetter("turn_id"),
    "AGENT": lambda letter: letter.agent or None,
    "ATTEMPTS": attrgetter("attempts"),
}
_COLUMNS: Columns[_Letter] = {
    **_SHARED,
    "ERROR": lambda letter: letter.error.partition("\n")[0],
}
_CONTENT: Columns[_Content] = {
    **_SHARED,
    "ERROR": attrgetter("error"),
    "METADATA": lambda letter: json.dumps(letter.metadata, ensure_ascii=False),
    "INPUT": lambda letter: (
        letter.input
        if isinstance(letter.input, str)
        else json.dumps(letter.input, ensure_ascii=False)
    ),
}
