"""What was aimed at, and whether it was reached."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bench.memory import HELD_OUT

Results = dict[str, Any]


@dataclass(frozen=True)
class Aim:
    """One row: what the SDK's session does, what ours does, what was aimed at."""

    what: str
    sdk: str
    ours: str
    target: str
    met: bool


def aims(results: Results) -> list[Aim]:
    """The targets, in the order of the tables."""
    return [*_turns(results), *_reads(results), _chat(results), _memory(results)]


def _turns(results: Results) -> Iterator[Aim]:
    for length, most, pings in (("10", 0.4, 3.0), ("1000", 0.4, 3.0), ("10000", 0.5, None)):
        found = results["turns"].get(length)
        if found is None:
            continue
        ours, ping = found["turnwise"]["median"], found["ping"]["median"]
        times = f", {ours / ping:.1f} × PING"
        yield Aim(
            f"session cost of one turn, {int(length):,} items",
            f"{found['sdk']['median']:.2f} ms",
            f"{ours:.2f} ms{times}",
            f"≤ {most} ms" + (f", ≤ {pings:g} × PING" if pings else ""),
            ours <= most and (pings is None or ours <= pings * ping),
        )


def _reads(results: Results) -> Iterator[Aim]:
    found = results["reads"]["1000"]
    for kind, name, most in (("warm", "turnwise", 1.4), ("cold", "turnwise cold", 1.7)):
        ours = found[name]["median"]
        yield Aim(
            f"a caller's own get_items of 1,000 items, {kind}",
            f"{found['sdk']['median']:.2f} ms",
            f"{ours:.2f} ms",
            f"≤ {most} ms",
            ours <= most,
        )


def _chat(results: Results) -> Aim:
    sdk, ours = (results["chat"][name]["share"]["median"] for name in ("sdk", "turnwise"))
    what = "chat requests/s, as a share of no session"
    return Aim(what, f"{sdk:.0%}", f"{ours:.0%}", "≥ 85%", ours >= 0.85)


def _memory(results: Results) -> Aim:
    ours = results["memory"][HELD_OUT]["share"]
    what = "memory of real tool-calling conversations"
    return Aim(what, "100%", f"{ours:.0%}", "≤ 40%", ours <= 0.4)
