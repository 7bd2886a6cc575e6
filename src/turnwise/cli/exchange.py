"""`turnwise sessions export` and `import`: sessions as lines of JSON."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from turnwise.cli.bulk import DryRun
from turnwise.cli.options import PREFIX, KeyPrefix, Url, with_sessions
from turnwise.cli.output import Columns, Format, Output, print_json, show
from turnwise.cli.session_filters import AnyMatch, Holder, Ids, MinAge, MinBytes, State, Wanted
from turnwise.errors import UsageError
from turnwise.fleet import ImportedSession, SDKSource
from turnwise.printable import printable
from turnwise.session import Session

LEFT = ("exists", "refused")
"""The outcomes of sessions that are not as the import has them."""
File = Annotated[Path | None, typer.Argument(help="The file of an export; - for standard input.")]
_SDK = SDKSource("")
_PANEL = "With --from"


def _sdk(help: str, metavar: str | None = None) -> Any:
    return typer.Option(help=help, metavar=metavar, rich_help_panel=_PANEL)


def export(
    url: Url,
    ids: Ids = None,
    file: Annotated[
        Path | None, typer.Option(help="Where to write; standard output if left out.")
    ] = None,
    match: AnyMatch = None,
    state: State = None,
    worker: Holder = None,
    min_age: MinAge = None,
    min_bytes: MinBytes = None,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Write sessions as JSON Lines, with their content: those named, or those that filters find.

    Everything that their histories hold, for `turnwise sessions import`. A session that cannot be
    read is told of on standard error, and the exit status is 1.
    """
    wanted = Wanted(ids, match, state, worker, min_age, min_bytes)
    faults: list[str] = []

    async def act(session: Session) -> None:
        names = [each.id for each in await wanted.find(session)]
        with _writing(file) as write, progress("exporting", len(names), file is None) as advance:
            async for line in session.export(names):
                write(line)
                if line["type"] == "end":
                    advance(1)
                    if "error" in line:
                        faults.append(f"{line['session_id']}: {line['error']}")

    with_sessions(act, url, key_prefix)
    for fault in faults:
        typer.echo(f"turnwise: {printable(fault)}", err=True)
    if faults:
        raise typer.Exit(1)


def import_(
    url: Url,
    file: File = None,
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="Sessions of the SDK's own classes: redis://..., a SQLite file, or a URL of "
            "SQLAlchemy with an async driver.",
            metavar="URL|FILE",
        ),
    ] = None,
    match: Annotated[str, _sdk("A glob that their ids match.", "GLOB")] = "*",
    sdk_key_prefix: Annotated[str, _sdk("RedisSession's key_prefix.")] = _SDK.key_prefix,
    sessions_table: Annotated[str, _sdk("The name of this table.")] = _SDK.sessions_table,
    messages_table: Annotated[str, _sdk("The name of this table.")] = _SDK.messages_table,
    branch: Annotated[
        str | None,
        _sdk("Of AdvancedSQLiteSession, only this one; else each becomes a session, id@branch."),
    ] = None,
    encryption_key: Annotated[
        str | None,
        typer.Option(
            help="EncryptedSession's.", envvar="TURNWISE_ENCRYPTION_KEY", rich_help_panel=_PANEL
        ),
    ] = None,
    skip_undecodable: Annotated[
        bool,
        typer.Option(
            "--skip-undecodable",
            help="Leave items out that cannot be read.",
            rich_help_panel=_PANEL,
        ),
    ] = False,
    dry_run: DryRun = False,
    output: Output = Format.TABLE,
    key_prefix: KeyPrefix = PREFIX,
) -> None:
    """Make sessions of an export, or of the SDK's own sessions, each in one commit.

    It can be repeated, and interrupted: what is there already is not written again. A session with
    another history is left as it is; then the exit status is 1. The source is only read.
    """
    if (file is None) == (source is None):
        raise typer.BadParameter("give the file of an export, or --from URL|FILE")

    async def act(session: Session) -> None:
        if source is not None:
            names = sdk_key_prefix, sessions_table, messages_table
            how = branch, encryption_key, skip_undecodable
            found = SDKSource(source, match, *names, *how)
            with progress("importing", None, to_stdout=False) as advance:
                outcomes = session.import_from(found, dry_run=dry_run)
                await report(_counted(outcomes, advance), dry_run, output)
            return
        assert file is not None
        with _reading(file) as lines:
            await report(session.import_sessions(lines, dry_run=dry_run), dry_run, output)

    with_sessions(act, url, key_prefix)


async def _counted(
    outcomes: AsyncIterator[ImportedSession], advance: Callable[[int], None]
) -> AsyncIterator[ImportedSession]:
    async for each in outcomes:
        advance(1)
        yield each


async def report(outcomes: AsyncIterator[ImportedSession], dry_run: bool, output: Format) -> None:
    """Print what became of sessions: in JSON of each, in a table of those that need attention."""
    told: list[ImportedSession] = []
    counts: Counter[str] = Counter()
    items = 0
    try:
        async for each in outcomes:
            counts[each.outcome] += 1
            items += each.items
            if output == Format.JSONL:
                print_json([each], output)
            elif output == Format.JSON or each.outcome in (*LEFT, "expired") or each.notes:
                told.append(each)
    finally:
        if output == Format.JSON:
            print_json(told, output)
        elif output == Format.TABLE:
            if told:
                show(told, _COLUMNS, output)
            said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(counts.items()))
            typer.echo(f"{'dry run: ' if dry_run else ''}{said or 'no session'}; {items} items")
    if any(counts[outcome] for outcome in LEFT):
        raise typer.Exit(1)


@contextmanager
def progress(what: str, total: int | None, to_stdout: bool) -> Iterator[Callable[[int], None]]:
    """A bar on standard error, if that is a terminal and the lines go elsewhere."""
    console = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    hidden = not console.is_terminal or (to_stdout and sys.stdout.isatty())
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=hidden) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


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
    with source, progress("importing", file.stat().st_size, to_stdout=False) as advance:
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
