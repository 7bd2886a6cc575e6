"""What was aimed at, and whether it was reached."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
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
    """The targets of what was measured, in the order of the tables."""
    return [aim for part, of in _AIMS.items() if part in results for aim in of(results)]


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


def _chat(results: Results) -> Iterator[Aim]:
    sdk, ours = (results["chat"][name]["share"]["median"] for name in ("sdk", "turnwise"))
    what = "chat requests/s, as a share of no session"
    yield Aim(what, f"{sdk:.0%}", f"{ours:.0%}", "≥ 85%", ours >= 0.85)


def _memory(results: Results) -> Iterator[Aim]:
    ours = results["memory"][HELD_OUT]["share"]
    what = "memory of real tool-calling conversations"
    yield Aim(what, "100%", f"{ours:.0%}", "≤ 40%", ours <= 0.4)


def _takeover(results: Results) -> Iterator[Aim]:
    for lease, samples in results["takeover"].items():
        for name, sample in samples.items():
            what = f"takeover after kill -9, lease of {lease} s, {name}: worst"
            worst, most = sample["worst"], float(lease) + 1
            yield Aim(what, "never", f"{worst:.1f} s", f"≤ {most:g} s", worst <= most)


def _cancel(results: Results) -> Iterator[Aim]:
    for store, sample in results["cancel"].items():
        found = f"{sample['median']:.1f}, {sample['p99']:.1f} ms"
        what = f"cancel from another process, {store}: median, 99 %"
        yield Aim(what, "none", found, "≤ 100 ms", sample["p99"] <= 100)


def _background(results: Results) -> Iterator[Aim]:
    for store, kinds in results["background"].items():
        found = kinds["idle"]["median"]
        what = f"background, submit to begin at idle, {store}"
        yield Aim(what, "none", f"{found:.1f} ms", "≤ 20 ms", found <= 20)


def _idle(results: Results) -> Iterator[Aim]:
    found = results["idle"]
    for kind, label in (("turn", "cost of a turn"), ("begin", "submit to begin")):
        share = found[kind]["with"]["median"] / found[kind]["without"]["median"]
        what = f"{label} with {found['sessions']:,} idle sessions, as a share of without"
        yield Aim(what, "-", f"{share:.0%}", "≤ 110%", share <= 1.1)


def _waiting(results: Results) -> Iterator[Aim]:
    for store, sample in results["waiting"]["wake_up"].items():
        found = f"{sample['median']:.1f}, {sample['p99']:.1f} ms"
        what = f"a waiting turn of another process begins, {store}: median, 99 %"
        yield Aim(what, "none", found, "≤ 50 ms", sample["p99"] <= 50)


_AIMS: Mapping[str, Callable[[Results], Iterator[Aim]]] = {
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
