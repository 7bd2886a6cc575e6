"""`turnwise dead-letters`: messages that failed for good."""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from operator import attrgetter
from typing import Annotated, Any, Literal

import typer

from turnwise.background import DeadLetter, require_dead_letter
from turnwise.cli.acting import Ending, Words
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, at
from turnwise.printable import quoted
from turnwise.session import Session

app = typer.Typer(help="List, show, retry and delete messages that failed.", no_args_is_help=True)


@dataclass(frozen=True)
class _Filters:
    """Which dead letters a verb is about: the filters of `dead-letters list`."""

    match: Annotated[
        str | None,
        typer.Option(help="Only those of sessions whose ids match; '*' for all.", metavar="GLOB"),
    ] = None
    state: Annotated[
        Literal["dead", "queued", "finished", "unknown", "stopped"] | None,
        typer.Option(
            help="Only those in this state. `stopped`: those at which sessions are stopped, which "
            "are looked for in all sessions, and are not among the others."
        ),
    ] = None
    agent: Annotated[
        str | None, typer.Option(help="Only those that this agent should have answered.")
    ] = None
    min_age: Annotated[
        float | None, typer.Option(help="Only those that failed so long ago.", metavar="SECONDS")
    ] = None

    @property
    def is_stopped(self) -> bool:
        """Whether they are those at which sessions are stopped."""
        return self.state == "stopped"

    async def letters(
        self, session: Session, after: str | None = None
    ) -> AsyncIterator[DeadLetter]:
        """What they find."""
        latest = time.time() - (self.min_age or 0)
        letters = session.stopped_sessions() if self.is_stopped else _all(session, after)
        async for letter in letters:
            if (
                fnmatchcase(letter.session_id, self.match or "*")
                and self.state in (None, letter.state)
                and self.agent in (None, letter.agent)
                and (self.min_age is None or letter.failed_at <= latest)
            ):
                yield letter


@dataclass(frozen=True)
class _Target:
    id: str
    found: DeadLetter | None = None

    @property
    def letter(self) -> DeadLetter | str:
        """As methods of the session take it."""
        return self.found or self.id


@dataclass(frozen=True)
class _Wanted(_Filters):
    """Which dead letters are changed: those named, or those that filters find."""

    ids: Annotated[
        list[str] | None,
        typer.Argument(help="Ids, as `list` shows them; else filters.", metavar="ID"),
    ] = None

    async def find(self, session: Session) -> list[_Target]:
        """The dead letters."""
        filters = self.match, self.state, self.agent, self.min_age
        if bool(self.ids) != all(each is None for each in filters):
            raise typer.BadParameter("give ids, or filters; --match '*' is for all")
        if self.ids:
            return list(map(_Target, dict.fromkeys(self.ids)))
        return [_Target(each.id, each) async for each in self.letters(session)]


@app.command("list")
@verb
def list_(
    wanted: _Filters,
    how: Looking,
    count: Annotated[int, typer.Option(help="Show at most this many.", min=1)] = 100,
    after: Annotated[
        str | None, typer.Option(help="Show those behind this dead letter.", metavar="ID")
    ] = None,
) -> None:
    """Show dead letters, oldest first, without the messages' content.

    If there are others, standard error has the next `--after`. Those at which sessions are stopped
    come in the order of the store and have no next page: `--count` shows more of them.
    """
    if wanted.is_stopped and after is not None:
        raise typer.BadParameter("--state stopped goes without --after; --count shows more")

    async def act(session: Session) -> None:
        found: list[_Letter] = []
        async for letter in wanted.letters(session, after):
            if len(found) == count:
                going_on = "a larger --count" if wanted.is_stopped else _after(found[-1])
                typer.echo(f"there are more: {going_on}", err=True)
                break
            found.append(_without_content(letter))
        how.show(found, _COLUMNS)

    how.run(act)


@app.command("show")
@verb
def show_(
    dead_letter_id: Annotated[str, typer.Argument(help="As `list` shows it.", metavar="ID")],
    how: Looking,
) -> None:
    """Show one dead letter with its message's content."""

    async def act(session: Session) -> None:
        found = await require_dead_letter(session.runtime, dead_letter_id)
        how.show([_with_content(found)], _CONTENT)

    how.run(act)


@app.command()
@verb
def retry(wanted: _Wanted, how: Ending) -> None:
    """Submit messages again, at the end of their sessions' queues: those named, or found.

    Ids are not asked about: a retry can be cancelled.
    """
    replace(how, yes=how.yes or bool(wanted.ids)).carry_out(
        Words("Retry", "retried", "dead letters"),
        how.run(wanted.find),
        lambda session, each: session.retry_dead_letter(each.letter, **how.audit),
    )


@app.command()
@verb
def delete(wanted: _Wanted, how: Ending) -> None:
    """Delete dead letters: those named, or those that filters find."""
    how.carry_out(
        Words("Delete", "deleted", "dead letters"),
        how.run(wanted.find),
        lambda session, each: session.delete_dead_letter(each.letter, **how.audit),
    )


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


def _after(letter: _Letter) -> str:
    return f"--after {quoted(letter.id)}"


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
