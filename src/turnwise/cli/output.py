"""How listings are printed: as a table, as JSON, or as JSON Lines."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

import msgspec
import typer
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table
from rich.text import Text

from turnwise.printable import printable
from turnwise.types import TokenUsage

Row = TypeVar("Row")
Columns = Mapping[str, Callable[[Row], object]]
"""The columns of a table: what each shows of a row."""
_UNLIMITED = 100_000
_UNITS = (("d", 86_400), ("h", 3600), ("m", 60))


class Format(StrEnum):
    """The form of a listing."""

    TABLE = "table"
    JSON = "json"
    JSONL = "jsonl"


Output = Annotated[
    Format, typer.Option("--output", "-o", help="A table, a JSON array, or one JSON a line.")
]


def show(rows: Sequence[Row], columns: Columns[Row], output: Format) -> None:
    """Print rows, which are dataclasses. What comes from outside is escaped, in each form."""
    if output == Format.TABLE:
        _show_table(rows, columns)
    else:
        print_json(rows, output)


def print_json(rows: Sequence[object], output: Format) -> None:
    """Print dataclasses as an array, or one a line."""
    if output == Format.JSON:
        typer.echo(json.dumps([as_json(row) for row in rows], indent=2))
    else:
        for row in rows:
            typer.echo(json.dumps(as_json(row)))


def as_json(row: object) -> Any:
    """What JSON shows of a dataclass."""
    return msgspec.to_builtins(row)


def console() -> Console:
    """Standard output; its lines are cut to the width of a terminal, and nowhere else."""
    found = Console(highlight=False)
    return found if found.is_terminal else Console(highlight=False, width=_UNLIMITED)


@contextmanager
def progress(
    what: str, total: int | None = None, *, shown: bool = True
) -> Iterator[Callable[[int], None]]:
    """A progress bar on standard error during the block, if that is a terminal.

    The block is given what adds to the count.
    """
    errors = Console(stderr=True)
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn()
    hidden = not (shown and errors.is_terminal)
    with Progress(
        *columns, TimeElapsedColumn(), console=errors, transient=True, disable=hidden
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count: bar.advance(task, count)


def _show_table(rows: Sequence[Row], columns: Columns[Row]) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell(column(row))) for column in columns.values()))
    console().print(table)


def cell(value: object) -> str:
    """A value as a table shows it."""
    if value is None:
        return "-"
    return printable(str(value))


def tokens(usage: TokenUsage) -> str | None:
    """What models consumed, in words; None if that is nothing."""
    if not usage.counts:
        return None
    cached, reasoning = usage.cached_tokens, usage.reasoning_tokens
    return (
        f"{usage.requests} requests, {usage.input_tokens} tokens in"
        f"{f' ({cached} cached)' if cached else ''}, {usage.output_tokens} out"
        f"{f' ({reasoning} reasoning)' if reasoning else ''}"
    )


def age(seconds: float | None) -> str | None:
    """A length of time, to two digits or so: `3m`, `2h`."""
    if seconds is None:
        return None
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            return f"{seconds / length:.0f}{unit}"
    return f"{max(0.0, seconds):.0f}s"


def ago(seconds: float | None) -> str | None:
    """How long ago a point in time was."""
    return None if seconds is None else age(time.time() - seconds)


def at(seconds: float | None) -> str | None:
    """A point in time, in UTC."""
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
