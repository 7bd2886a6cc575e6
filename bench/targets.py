"""The performance targets, and whether they are met."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.memory import OTHER_TASKS

Results = dict[str, Any]


@dataclass(frozen=True)
class Target:
    """One row: the measured values of the SDK's session and of Turnwise, and the goal."""

    what: str
    sdk: str
    turnwise: str
    goal: str
    met: bool


def targets(results: Results) -> list[Target]:
    """The targets of the parts that were measured, in the order of the tables."""
    parts = [part for part in _TARGETS if part in results]
    return [target for part in parts for target in _TARGETS[part](results)]


def _turns(results: Results) -> Iterator[Target]:
    for length, limit, pings in (("10", 0.4, 3.0), ("1000", 0.4, 3.0), ("10000", 0.5, None)):
        found = results["turns"].get(length)
        if found is None:
            continue
        turnwise, ping = found["turnwise"]["median"], found["ping"]["median"]
        yield Target(
            f"session cost of one turn, {int(length):,} items",
            f"{found['sdk']['median']:.2f} ms",
            f"{turnwise:.2f} ms, {turnwise / ping:.1f} × PING",
            f"≤ {limit} ms" + (f", ≤ {pings:g} × PING" if pings else ""),
            turnwise <= limit and (pings is None or turnwise <= pings * ping),
        )


def _reads(results: Results) -> Iterator[Target]:
    found = results["reads"]["1000"]
    for cache, name, limit in (("warm", "turnwise", 1.4), ("cold", "turnwise cold", 1.7)):
        turnwise = found[name]["median"]
        yield Target(
            f"get_items outside of a run, 1,000 items, {cache} cache",
            f"{found['sdk']['median']:.2f} ms",
            f"{turnwise:.2f} ms",
            f"≤ {limit} ms",
            turnwise <= limit,
        )


def _chat(results: Results) -> Iterator[Target]:
    sdk, turnwise = (results["chat"][name]["share"]["median"] for name in ("sdk", "turnwise"))
    what = "chat requests/s, relative to no session"
    yield Target(what, f"{sdk:.0%}", f"{turnwise:.0%}", "≥ 85%", turnwise >= 0.85)


def _memory(results: Results) -> Iterator[Target]:
    turnwise = results["memory"][OTHER_TASKS]["share"]
    what = "memory of real tool-calling conversations"
    yield Target(what, "100%", f"{turnwise:.0%}", "≤ 40%", turnwise <= 0.4)


def _takeover(results: Results) -> Iterator[Target]:
    for lease, samples in results["takeover"].items():
        for name, sample in samples.items():
            what = f"takeover after kill -9, lease of {lease} s, {name}: max"
            found, limit = sample["max"], float(lease) + 1
            yield Target(what, "never", f"{found:.1f} s", f"≤ {limit:g} s", found <= limit)


def _cancel(results: Results) -> Iterator[Target]:
    for store, sample in results["cancel"].items():
        found = f"{sample['median']:.1f}, {sample['p99']:.1f} ms"
        what = f"cancel from another process, {store}: median, p99"
        yield Target(what, "none", found, "≤ 100 ms", sample["p99"] <= 100)


def _background(results: Results) -> Iterator[Target]:
    for store, kinds in results["background"].items():
        found = kinds["idle"]["median"]
        what = f"background, submit to begin when idle, {store}"
        yield Target(what, "none", f"{found:.1f} ms", "≤ 20 ms", found <= 20)


def _idle(results: Results) -> Iterator[Target]:
    found = results["idle"]
    for kind, label in (("turn", "cost of a turn"), ("begin", "submit to begin")):
        share = found[kind]["with"]["median"] / found[kind]["without"]["median"]
        what = f"{label} with {found['sessions']:,} idle sessions, relative to none"
        yield Target(what, "-", f"{share:.0%}", "≤ 110%", share <= 1.1)


def _waiting(results: Results) -> Iterator[Target]:
    for store, sample in results["waiting"]["wake_up"].items():
        found = f"{sample['median']:.1f}, {sample['p99']:.1f} ms"
        what = f"begin of a waiting turn in another process, {store}: median, p99"
        yield Target(what, "none", found, "≤ 50 ms", sample["p99"] <= 50)


_TARGETS: Mapping[str, Callable[[Results], Iterator[Target]]] = {
    "turns": _turns,
    "reads": _reads,
    "chat": _chat,
    "memory": _memory,
    "takeover": _takeover,
    "cancel": _cancel,
    "background": _background,
    "idle": _idle,
    "waiting": _waiting,
}
