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
from pathlib import Path

from agents import set_tracing_disabled
from rich.console import Console

from bench.plan import FULL, PARTS, QUICK, carry_out
from bench.plots import draw
from bench.report import heading, tables
from bench.targets import Results
from turnwise.testing.servers import RedisServer, ValkeyServer

FOLDER = Path(__file__).with_name("results")
_WIDTH = 118  # that no table breaks its numbers
SERVERS = {"valkey": ValkeyServer, "redis": RedisServer}


def main() -> int:
    arguments = _arguments()
    console = Console(width=max(Console().width, _WIDTH))
    with tempfile.TemporaryDirectory() as unkept:
        folder = arguments.output or (Path(unkept) if arguments.only else FOLDER)
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / "results.json"
        if not arguments.show:
            set_tracing_disabled(True)
            gc.freeze()  # our own pauses are not to be measured
            results = asyncio.run(_measured(arguments, console))
            file.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
        _report(json.loads(file.read_text()), folder, console)
        if folder != Path(unkept):
            console.print(f"tables, JSON and plots are in {folder}")
    return 0


async def _measured(arguments: argparse.Namespace, console: Console) -> Results:
    started = time.monotonic()
    async with SERVERS[arguments.server](timeout=60) as running:
        with console.status("") as status:

            def tell(what: str) -> None:
                status.update(f"{time.monotonic() - started:3.0f} s  {what}")

            plan, only = QUICK if arguments.quick else FULL, arguments.only or PARTS
            results = await carry_out(plan, running.url, tell, only)
    results["seconds"] = round(time.monotonic() - started)
    results["load_after"] = round(os.getloadavg()[0], 2)
    return results


def _report(results: Results, folder: Path, console: Console) -> None:
    shown = list(tables(results))
    for table in shown:
        table.show(console)
        console.print()
    text = "\n".join(["# Benchmark", "", heading(results), "", *[it.markdown() for it in shown]])
    (folder / "results.md").write_text(text)
    draw(results, folder)
    console.print(heading(results), style="dim")
    console.print(f"{results['seconds']} s")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of several")
    parser.add_argument("--server", choices=SERVERS, default="valkey", help="what to start")
    parser.add_argument("--output", type=Path, help=f"where the results go, by default {FOLDER}")
    parser.add_argument(
        "--only", nargs="+", choices=PARTS, help="these parts; kept only if --output is given"
    )
    parser.add_argument("--show", action="store_true", help="only show the last results again")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
