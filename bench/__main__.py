"""`python -m bench`: Turnwise and the SDK's own sessions, side by side in one run."""

from __future__ import annotations

import argparse
import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from agents import set_tracing_disabled
from rich.console import Console

from bench.plots import draw
from bench.readme import README, write_figures
from bench.report import heading, tables
from bench.suite import FULL, PARTS, QUICK, run_suite
from bench.targets import Results
from turnwise.testing.servers import RedisServer, ValkeyServer

FOLDER = Path(__file__).with_name("results")
_WIDTH = 118  # so that no table breaks its numbers
SERVERS = {"valkey": ValkeyServer, "redis": RedisServer}


def main() -> int:
    arguments = _arguments()
    console = Console(width=max(Console().width, _WIDTH))
    with tempfile.TemporaryDirectory() as temporary:
        folder = arguments.output or (Path(temporary) if arguments.only else FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "results.json"
        if not arguments.show:
            set_tracing_disabled(True)
            gc.freeze()  # the collector skips what is imported, so that its pauses are short
            results = asyncio.run(_measure(arguments, console))
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        _report(json.loads(file.read_text()), folder, console)
        if folder != Path(temporary):
            console.print(f"tables, JSON and plots are in {folder}")
        if folder == FOLDER:
            write_figures(json.loads(file.read_text()))
            console.print(f"the figures in {README} are those of this run")
    return 0


async def _measure(arguments: argparse.Namespace, console: Console) -> Results:
    started = time.monotonic()
    async with SERVERS[arguments.server](timeout=60) as running:
        with console.status("") as status:

            def show_progress(what: str) -> None:
                status.update(f"{time.monotonic() - started:3.0f} s  {what}")

            plan, only = QUICK if arguments.quick else FULL, arguments.only or PARTS
            if arguments.sessions is not None:
                plan = replace(plan, idle=(arguments.sessions, *plan.idle[1:]))
            results = await run_suite(plan, running.url, show_progress, only)
    results["seconds"] = round(time.monotonic() - started)
    results["load_after"] = round(os.getloadavg()[0], 2)
    return results


def _report(results: Results, folder: Path, console: Console) -> None:
    all_tables = list(tables(results))
    for table in all_tables:
        table.show(console)
        console.print()
    text = "\n".join(
        ["# Benchmark", "", heading(results), "", *[table.markdown() for table in all_tables]]
    )
    (folder / "results.md").write_text(text)
    draw(results, folder)
    console.print(heading(results), style="dim")
    console.print(f"{results['seconds']} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute instead of several")
    parser.add_argument("--server", choices=SERVERS, default="valkey", help="the server to start")
    parser.add_argument(
        "--output",
        type=Path,
        help=f"folder for the results, by default {FOLDER}: README.md gets their figures",
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=PARTS,
        help="run these parts; the results are kept only with --output",
    )
    parser.add_argument(
        "--sessions",
        type=int,
        metavar="N",
        help=f"how many idle sessions the part `idle` has, by default {FULL.idle[0]:,}",
    )
    parser.add_argument(
        "--show", action="store_true", help="show the last results without measuring"
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
