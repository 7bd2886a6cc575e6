"""Shows the demo on a terminal: live on a real one, else as plain lines."""

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

from demo.recording import MODEL
from demo.status import MAX_EVENTS, Status
from demo.worker_process import DISPATCHED, MAX_CONCURRENT_TURNS, RETRIED, WorkerProcess

_FRAMES_PER_SECOND = 8
_SVG_WIDTH = 120
_STATE_STYLES = {DISPATCHED: "dim", RETRIED: "bold yellow", MODEL: "cyan"}
_TOOL_STYLE = "magenta"
_EVENT_STYLES = {"KILLED.*": "bold red", ".*took over.*|.*already committed.*": "green"}


class Screenshot:
    """One frame of the live view and the summary, as an SVG file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._console = Console(record=True, file=StringIO(), width=_SVG_WIDTH, force_terminal=True)
        self._frame: RenderableType | None = None
        self._is_final = False

    def capture(self, status: Status) -> None:
        """Once: when turns are taken over and all workers, the replacement too, are ready.

        On a machine where that never happens, as processes start slowly: at the first takeover.
        """
        if self._is_final or not status.takeovers:
            return
        self._is_final = all(worker.ready for worker in status.workers)
        if self._is_final or self._frame is None:
            self._frame = render(status)

    def save(self, summary: RenderableType) -> None:
        if self._frame is not None:
            self._console.print(self._frame)
        self._console.print(summary)
        svg = self._console.export_svg(title="make demo")
        # Without Rich's web fonts, which a viewer would have to download.
        self._path.write_text(re.sub(r"@font-face \{.*?\}", "", svg, flags=re.DOTALL))


@asynccontextmanager
async def live_view(
    status: Status, console: Console, screenshot: Screenshot | None
) -> AsyncIterator[None]:
    """Show the status while the block runs."""
    if not console.is_terminal:
        status.on_event = console.out
    live = Live(console=console, auto_refresh=False, transient=False)
    task = asyncio.create_task(_refresh(status, live, screenshot))
    if console.is_terminal:
        live.start()
    try:
        yield
    finally:
        task.cancel()
        live.update(render(status), refresh=console.is_terminal)
        live.stop()


async def _refresh(status: Status, live: Live, screenshot: Screenshot | None) -> None:
    while True:
        if live.is_started:
            live.update(render(status), refresh=True)
        if screenshot is not None:
            screenshot.capture(status)
        await asyncio.sleep(1 / _FRAMES_PER_SECOND)


def render(status: Status) -> RenderableType:
    """The turns of each worker with their state, the progress, and recent events."""
    events = Text("\n".join(status.events), overflow="ellipsis", no_wrap=True)
    for pattern, style in _EVENT_STYLES.items():
        events.highlight_regex(pattern, style)
    panel = Panel(events, title="events", height=MAX_EVENTS + 2)
    return Group(_workers(status), _progress(status), panel)


def _workers(status: Status) -> RenderableType:
    grid = Table.grid(expand=True)
    for _ in status.workers:
        grid.add_column(ratio=1)
    grid.add_row(*map(_worker, status.workers))
    return grid


def _worker(worker: WorkerProcess) -> RenderableType:
    cell = Table.grid(expand=True, padding=(0, 1))
    cell.add_column(no_wrap=True)
    cell.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for turn_id, state in worker.turns.items():
        cell.add_row(turn_id, Text(state, style=_STATE_STYLES.get(state, _TOOL_STYLE)))
    return Panel(
        cell,
        title=f"[bold]{worker}",
        subtitle=_subtitle(worker),
        border_style="red" if worker.killed else "blue" if worker.ready else "dim",
        height=MAX_CONCURRENT_TURNS + 2,
    )


def _subtitle(worker: WorkerProcess) -> str:
    if worker.killed:
        return "[bold red]killed"
    return f"{worker.completed_turns} turns completed" if worker.ready else "starting"


def _progress(status: Status) -> RenderableType:
    row = Table.grid(expand=True, padding=(0, 2))
    row.add_column(no_wrap=True)
    row.add_column(ratio=1)
    row.add_column(no_wrap=True)
    row.add_row(
        f"[bold]{status.completed_turns}/{status.total_turns}[/] turns",
        ProgressBar(total=status.total_turns, completed=status.completed_turns),
        f"{status.completed_conversations}/{status.total_conversations} conversations · "
        f"kills: {status.kills} · retries: {status.retries} · {status.seconds:.0f} s",
    )
    return row
