"""Tables that can be shown on a terminal and written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """Rows of text; the first column is a label. `note` says how to read it."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""

    def show(self, console: Console) -> None:
        table = RichTable(title=self.title, title_justify="left", caption=self.note or None)
        table.caption_justify = "left"
        for number, column in enumerate(self.columns):
            table.add_column(column, justify="right" if number else "left")
        for row in self.rows:
            table.add_row(*row)
        console.print(table)

    def markdown(self) -> str:
        aligned = [":--", *["--:"] * (len(self.columns) - 1)]
        lines = [f"### {self.title}", ""]
        lines += [f"| {' | '.join(row)} |" for row in (self.columns, aligned, *self.rows)]
        return "\n".join([*lines, "", *([self.note, ""] if self.note else [])])
