"""`turnwise top`: the fleet as it is now."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from itertools import count
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from turnwise.cli.options import Looking, verb
from turnwise.cli.output import age, cell, console
from turnwise.fleet.watch import Watch
from turnwise.session import Session
from turnwise.types import WorkerInfo

_WORKERS = 20
"""How many workers the screen shows, those with the most turns first."""


@verb
def top(
    how: Looking,
    looks: Annotated[
        int | None, typer.Option(help="Look so often, then end.", metavar="N", min=1)
    ] = None,
) -> None:
    """Show workers, queues and turns as they are now, until Ctrl-C, without content.

    It looks every two seconds, and more rarely if a look takes the store longer. `-o json` and
    `-o jsonl` print one object a look. With --looks, the exit status is 1 if the last one failed.
    """

    async def act(session: Session) -> str:
        watch = Watch(session)
        with _screen(how.as_json) as draw:
            async with watch.kept_up():
                await watch.latest()
                news = watch.looks()
                for number in count(1):
                    draw(watch)
                    if number == looks:
                        return watch.seen.error
                    await anext(news)
        return ""

    with suppress(KeyboardInterrupt):
        if how.run(act):
            raise typer.Exit(1)  # it is on the screen


@contextmanager
def _screen(as_json: bool) -> Iterator[Callable[[Watch], None]]:
    """What draws a look: in place on a terminal, else one after the other."""
    screen = console()
    live = screen.is_terminal and not as_json
    with Live(console=screen, auto_refresh=False, screen=True) if live else nullcontext() as shown:

        def draw(watch: Watch) -> None:
            if as_json:
                typer.echo(json.dumps(_figures(watch)))
            elif shown is None:
                screen.print(_picture(watch))
            else:
                shown.update(_picture(watch), refresh=True)

        yield draw


def _figures(watch: Watch) -> dict[str, Any]:
    """The last look, as a program reads it. What the walk has not counted yet is None."""
    seen, census = watch.seen, watch.seen.census
    last = watch.samples[-1] if watch.samples else None
    ready = [worker for worker in seen.workers if worker.alive]
    return {
        "ping": seen.ping,
        "error": seen.error or None,
        "workers": len(ready),
        "silent_workers": len(seen.workers) - len(ready),
        "slots": sum(worker.concurrency for worker in ready),
        "slots_used": sum(worker.active for worker in ready),
        "pauses": len(seen.pauses),
        "turns_per_second": last and last.turns_per_second,
        "median_seconds": last and last.rates.median,
        "slowest_seconds": last and last.rates.slowest,
        "takeovers": last and last.rates.takeovers,
        "oldest_waiting": census and census.oldest,
        "queued": census and census.queued,
        "later_attempts": census and census.later_attempts,
        "dead_letters": census and census.dead_letters,
        "sessions": census and dict(census.states),
        "counted_at": census and census.at,
    }


def _picture(watch: Watch) -> RenderableType:
    known = _figures(watch)
    ping, rate = known["ping"], known["turns_per_second"]
    rows = {
        "store": known["error"] or f"{1000 * (ping or 0):.1f} ms for a ping",
        "workers": f"{known['workers']}, {known['silent_workers']} silent",
        "slots": f"{known['slots_used']} of {known['slots']} used",
        "turns/s": None if rate is None else f"{rate:.1f}",
        "a turn takes": _took(known["median_seconds"], known["slowest_seconds"]),
        "takeovers/min": known["takeovers"],
        "waiting": f"{_number(known['queued'])}, the oldest for {age(known['oldest_waiting'])}"
        if known["oldest_waiting"] is not None
        else known["queued"],
        "pauses": known["pauses"],
        "later attempts": known["later_attempts"],
        "dead letters": known["dead_letters"],
        "sessions": _states(known["sessions"]),
    }
    figures = Table(box=None, pad_edge=False, show_header=False)
    for name, value in rows.items():
        figures.add_row(name, Text(cell(value)))
    return Group(figures, _workers(watch.seen.workers))


def _took(median: float | None, slowest: float | None) -> str | None:
    """Seconds of the turns of the last minute."""
    if median is None or slowest is None:
        return None
    return f"{median:.2f} s, 95 of 100 at most {slowest:.2f} s"


def _states(counted: dict[str, int] | None) -> str | None:
    if counted is None:
        return None
    told = (f"{number} {state}" for state, number in sorted(counted.items()))
    return ", ".join(told) or "none"


def _number(value: int | None) -> str:
    return "-" if value is None else str(value)


def _workers(workers: list[WorkerInfo]) -> RenderableType:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("WORKER", "STATE", "HEARTBEAT", "BUSY", "AGENTS"):
        table.add_column(name, overflow="fold")
    busiest = sorted(workers, key=lambda worker: (-worker.active, worker.name))
    for worker in busiest[:_WORKERS]:
        busy = f"{worker.active}/{worker.concurrency}"
        cells = worker.name, worker.state, f"{age(worker.silent_for)} ago", busy
        table.add_row(*(Text(cell(each)) for each in (*cells, ", ".join(worker.agents))))
    if len(workers) > _WORKERS:
        table.add_row(f"{len(workers) - _WORKERS} more", "", "", "", "")
    return table
