"""The demo on a terminal: live where there is one, else a few plain lines."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import StringIO
from pathlib import Path

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from demo.board import AT_ONCE, LINES, Board
from demo.process import SENT, SENT_AGAIN, WorkerProcess
from demo.recording import MODEL

_FRAMES = 8  # a second
_SVG_WIDTH = 120
_COLOURS = {SENT: "dim", SENT_AGAIN: "bold yellow", MODEL: "cyan"}  # else a tool was used
_EVENTS = {"KILLED.*": "bold red", ".*took over.*|.*committed already.*": "green"}


class Picture:
    """A scene of the live view and what was said at the end, as an SVG file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._console = Console(record=True, file=StringIO(), width=_SVG_WIDTH, force_terminal=True)
        self._scene: RenderableType | None = None
        self._taken = False

    def take(self, board: Board) -> None:
        """Once: when turns of a dead worker are taken over, and another has taken its place.

        Where that never is so at the same time, as processes start slowly: the first takeover.
        """
        if self._taken or not board.taken_over:
            return
        self._taken = all(each.ready for each in board.workers)
        if self._taken or self._scene is None:
            self._scene = render(board)

    def save(self, end: RenderableType) -> None:
        if self._scene is not None:
            self._console.print(self._scene)
        self._console.print(end)
        svg = self._console.export_svg(title="make demo")
        # Rich names fonts to be fetched from the web; a reader's own monospace font does.
        self._path.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL))


@asynccontextmanager
async def watched(board: Board, console: Console, picture: Picture | None) -> AsyncIterator[None]:
    """Show the board while the block runs."""
    if not console.is_terminal:
        board.on_line = console.out
    live = Live(console=console, auto_refresh=False, transient=False)
    task = asyncio.create_task(_refresh(board, live, picture))
    if console.is_terminal:
        live.start()
    try:
        yield
    finally:
        task.cancel()
        live.update(render(board), refresh=console.is_terminal)
        live.stop()


async def _refresh(board: Board, live: Live, picture: Picture | None) -> None:
    while True:
        if live.is_started:
            live.update(render(board), refresh=True)
        if picture is not None:
            picture.take(board)
        await asyncio.sleep(1 / _FRAMES)


def render(board: Board) -> RenderableType:
    """Who serves which turn, how far it has got, and what happened lately."""
    lines = Text("\n".join(board.lines), overflow="ellipsis", no_wrap=True)
    for pattern, style in _EVENTS.items():
        lines.highlight_regex(pattern, style)
    return Group(_workers(board), _progress(board), Panel(lines, title="events", height=LINES + 2))


def _workers(board: Board) -> RenderableType:
    grid = Table.grid(expand=True)
    for _ in board.workers:
        grid.add_column(ratio=1)
    grid.add_row(*map(_worker, board.workers))
    return grid


def _worker(worker: WorkerProcess) -> RenderableType:
    cell = Table.grid(expand=True, padding=(0, 1))
    cell.add_column(no_wrap=True)
    cell.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for turn, doing in worker.turns.items():
        cell.add_row(turn, Text(doing, style=_COLOURS.get(doing, "magenta")))
    return Panel(
        cell,
        title=f"[bold]{worker}",
        subtitle=_state(worker),
        border_style="red" if worker.killed else "blue" if worker.ready else "dim",
        height=AT_ONCE + 2,
    )


def _state(worker: WorkerProcess) -> str:
    if worker.killed:
        return "[bold red]killed"
    return f"{worker.served} turns served" if worker.ready else "starting"


def _progress(board: Board) -> RenderableType:
    row = Table.grid(expand=True, padding=(0, 2))
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(
        f"[bold]{board.served}/{board.turns}[/] turns",
        ProgressBar(total=board.turns, completed=board.served),
        f"{board.finished}/{board.conversations} conversations · kills: {board.kills} · "
        f"sent again: {board.resent} · {board.seconds:.0f} s",
    )
    return row
