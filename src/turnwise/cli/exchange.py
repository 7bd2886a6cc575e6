"""`turnwise sessions export` and `import`: sessions as lines of JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from turnwise.cli.acting import Acting, Outcome, tell
from turnwise.cli.options import Looking, verb
from turnwise.cli.output import Columns, Format, progress
from turnwise.cli.session_filters import Wanted
from turnwise.errors import UsageError
from turnwise.fleet import ImportedSession, SDKSource
from turnwise.session import Session

LEFT = ("exists", "refused")
"""The outcomes of sessions that are not as the import has them."""
_SDK = SDKSource("")


def _sdk(help: str, metavar: str | None = None, **settings: Any) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel="With --from", **settings)


@dataclass(frozen=True)
class _SDKOptions:
    """What an import of the SDK's own sessions takes besides their place."""

    match: Annotated[str, _sdk("A glob that their ids match.", "GLOB")] = "*"
    sdk_key_prefix: Annotated[str, _sdk("RedisSession's key_prefix.")] = _SDK.key_prefix
    sessions_table: Annotated[str, _sdk("The name of this table.")] = _SDK.sessions_table
    messages_table: Annotated[str, _sdk("The name of this table.")] = _SDK.messages_table
    branch: Annotated[
        str | None,
        _sdk("Of AdvancedSQLiteSession, only this one; else each becomes a session, id@branch."),
    ] = None
    encryption_key: Annotated[
        str | None, _sdk("EncryptedSession's.", envvar="TURNWISE_ENCRYPTION_KEY")
    ] = None
    skip_undecodable: Annotated[
        bool,
        typer.Option(
            "--skip-undecodable",
            help="Leave items out that cannot be read.",
            rich_help_panel="With --from",
        ),
    ] = False

    def source(self, location: str) -> SDKSource:
        """Where they are, and which."""
        names = self.sdk_key_prefix, self.sessions_table, self.messages_table
        how = self.branch, self.encryption_key, self.skip_undecodable
        return SDKSource(location, self.match, *names, *how)


@verb
def export(
    wanted: Wanted,
    how: Looking,
    file: Annotated[
        Path | None, typer.Option(help="Where to write; standard output if left out.")
    ] = None,
) -> None:
    """Write sessions as JSON Lines, with their content: those named, or those that filters find.

    Everything that their histories hold, for `turnwise sessions import`. A session that cannot be
    read is told of on standard error, and the exit status is 1. With --file, `-o` is the form in
    which the outcomes are printed.
    """
    if file is None and how.output == Format.JSON:
        raise typer.BadParameter("-o json needs --file: an export that is printed is JSON Lines")
    outcomes: list[Outcome] = []

    async def act(session: Session) -> None:
        names = [each.id for each in await wanted.find(session)]
        shown = file is not None or not sys.stdout.isatty()
        with _writing(file) as write, progress("exporting", len(names), shown=shown) as advance:
            async for line in session.export(names):
                write(line)
                if line["type"] == "end":
                    advance(1)
                    outcomes.append(_exported(line))

    how.run(act)
    failed = [each for each in outcomes if each.error]
    if file is None:
        tell(failed, Format.TABLE)
    else:
        tell(outcomes, how.output)
    if failed:
        raise typer.Exit(1)


@verb
def import_(
    how: Acting,
    sdk: _SDKOptions,
    file: Annotated[
        Path | None, typer.Argument(help="The file of an export; - for standard input.")
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Sessions of the SDK's own classes: redis://..., a SQLite file, or a URL of "
            "SQLAlchemy with an async driver.",
            metavar="URL|FILE",
        ),
    ] = None,
) -> None:
    """Make sessions of an export, or of the SDK's own sessions, each in one commit.

    It can be repeated, and interrupted: what is there already is not written again. A session with
    another history is left as it is; then the exit status is 1. The source is only read.
    """
    if (file is None) == (source is None):
        raise typer.BadParameter("give the file of an export, or --from URL|FILE")

    async def act(session: Session) -> None:
        if source is not None:
            with progress("importing") as advance:
                found = session.import_from(sdk.source(source), dry_run=how.dry_run, **how.audit)
                await report(_counted(found, advance), how)
            return
        assert file is not None
        with _reading(file) as lines:
            await report(session.import_sessions(lines, dry_run=how.dry_run, **how.audit), how)

    how.run(act)


async def _counted(
    outcomes: AsyncIterator[ImportedSession], advance: Callable[[int], None]
) -> AsyncIterator[ImportedSession]:
    async for each in outcomes:
        advance(1)
        yield each


async def report(outcomes: AsyncIterator[ImportedSession], how: Acting) -> None:
    """Print what became of sessions: in JSON of each, in a table of those that need attention."""
    told: list[ImportedSession] = []
    counts: Counter[str] = Counter()
    items = 0
    try:
        async for each in outcomes:
            counts[each.outcome] += 1
            items += each.items
            if how.output == Format.JSONL:
                how.show([each], _COLUMNS)
            elif how.as_json or each.outcome in (*LEFT, "expired") or each.notes:
                told.append(each)
    finally:
        if told or how.output == Format.JSON:
            how.show(told, _COLUMNS)
        if not how.as_json:
            said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
            typer.echo(f"{'dry run: ' if how.dry_run else ''}{said or 'no session'}; {items} items")
    if any(counts[outcome] for outcome in LEFT):
        raise typer.Exit(1)


def _exported(end: dict[str, Any]) -> Outcome:
    session_id, error = end["session_id"], end.get("error")
    if error is None:
        return Outcome(session_id, "exported")
    return Outcome(session_id, "failed", f"{session_id}: {error}")


@contextmanager
def _writing(file: Path | None) -> Iterator[Callable[[dict[str, Any]], None]]:
    if file is None:
        yield lambda line: typer.echo(json.dumps(line))
        return
    try:
        target = file.open("x", encoding="ascii")
    except OSError as error:
        sys.exit(f"turnwise: cannot write {str(file)!r}: {error.strerror}")
    with target:
        yield lambda line: print(json.dumps(line), file=target)


@contextmanager
def _reading(file: Path) -> Iterator[Iterator[object]]:
    if str(file) == "-":
        yield _parsed(sys.stdin.buffer)
        return
    try:
        source = file.open("rb")
    except OSError as error:
        sys.exit(f"turnwise: cannot read {str(file)!r}: {error.strerror}")
    with source, progress("importing", file.stat().st_size) as advance:
        yield _parsed(source, advance)


def _parsed(source: BinaryIO, advance: Callable[[int], None] = lambda _: None) -> Iterator[object]:
    for number, line in enumerate(source, 1):
        try:
            yield json.loads(line)
        except (ValueError, RecursionError):
            raise UsageError(f"line {number} is no JSON") from None
        advance(len(line))


def _shown(each: ImportedSession) -> str:
    return "; ".join([*each.notes, *([each.error] if each.error else [])])


_COLUMNS: Columns[ImportedSession] = {
    "SESSION": lambda each: each.session_id,
    "OUTCOME": lambda each: each.outcome,
    "TURNS": lambda each: each.turns,
    "ITEMS": lambda each: each.items,
    "WHY": _shown,
}
