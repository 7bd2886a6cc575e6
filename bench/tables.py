"""Tables that can be shown on a terminal and written as Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table as RichTable


@dataclass(frozen=True)
class Table:
    """Rows of text. The first column is a label; `note` explains the table."""

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
        note = [self.note, ""] if self.note else []
        return "\n".join([f"### {self.title}", "", *self.markdown_rows(), "", *note])

    def markdown_rows(self) -> list[str]:
        aligned = [":--", *["--:"] * (len(self.columns) - 1)]
        return [f"| {' | '.join(row)} |" for row in (self.columns, aligned, *self.rows)]


Measured = dict[str, Any]


def ms(sample: Measured) -> str:
    """Median, with the quartiles in brackets."""
    median = sample["median"]
    digits = 3 if median < 0.1 else 2 if median < 10 else 1
    return f"{median:.{digits}f} ({sample['q1']:.{digits}f}-{sample['q3']:.{digits}f})"


def rate(sample: Measured) -> str:
    return f"{sample['median']:,.0f} ({sample['q1']:,.0f}-{sample['q3']:,.0f})"


def ratio(dividend: Measured, divisor: Measured) -> str:
    return f"{dividend['median'] / divisor['median']:.1f}"


def percentiles(sample: Measured) -> tuple[str, str, str]:
    """Median and quartiles, the 99th percentile, the maximum."""
    digits = 2 if sample["median"] < 10 else 1
    return ms(sample), f"{sample['p99']:.{digits}f}", f"{sample['max']:.{digits}f}"
