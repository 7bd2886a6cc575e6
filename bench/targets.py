"""What was measured beside its target, and whether it is met.

A target is a limit that was measured: by the same run (a PING, a list in the process, the
SDK's session, the size of an item, a lease), times what the work needs of it, or once by a
prototype. What has no such limit has no target.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bench.concurrency import CALLERS, SERVER, SESSIONS
from bench.contenders import COLD, PING, SDK, TURNWISE
from bench.growth import AGENTS, MESSAGES, SDK_AGENTS
from bench.growth import SESSIONS as GROWING_SESSIONS
from bench.images import BACKGROUND, TURN_ID
from bench.memory import OTHER_TASKS
from bench.serve import LONG, SHORT
from bench.serve_agents import TOKENS
from bench.watching import BROWSERS

Results = dict[str, Any]

PINGS_OF_A_TURN = 3.5
"""Two round trips, each with a script and some JSON."""
PINGS_OF_THE_SERVER = 3
TIMES_THE_SDK = 5
CONNECTIONS = 4
WARM_READ, COLD_READ = 0.5, 0.8
SHARE_OF_LIST = 0.95
SHARE_OF_MEMORY = 0.35
AFTER_LEASE = 0.5
CANCEL_MS = 20
BESIDE_IDLE = 1.1
LOOK_MS = 100
"""What a person takes for at once."""
OVERVIEW_MS = 50
WATCHED_CPU = 0.02
"""What nobody notices beside turns."""
_LOOKS = {
    "list": ("first page of a listing", LOOK_MS),
    "stuck": ("`turnwise stuck`", LOOK_MS),
    "overview": ("the dashboard's overview", OVERVIEW_MS),
}
SESSION_BYTES = 100
"""One entry in a dict, with its key, takes more."""
MESSAGE_BYTES = 500
"""One object that is kept takes more."""
AGENT_BYTES = 1_000
"""One class takes more."""

PARKED_CPU = 0.02
"""What the observation itself may be off by."""
TIMES_THE_APP = {str(SHORT): 1.2, str(LONG): 2.0}
FIRST_TOKEN_MS = 10
"""What nobody sees."""
RESUME_MS = 100
STREAMS_GROWTH = 0.1


@dataclass(frozen=True)
class Target:
    """One row: the measured values of the SDK's session and of Turnwise, and the goal if any."""

    what: str
    sdk: str
    turnwise: str
    goal: str = ""
    met: bool | None = None

    @property
    def verdict(self) -> str:
        return "" if self.met is None else "met" if self.met else "missed"


def targets(results: Results) -> list[Target]:
    """The rows of the parts that were measured, in the order of the tables."""
    parts = [part for part in _TARGETS if part in results]
    return [target for part in parts for target in _TARGETS[part](results[part])]


def _turns(found: Results) -> Iterator[Target]:
    for length in _those_of(found, "10", "1000", "10000"):
        sdk, turnwise, ping = (found[length][name]["median"] for name in (SDK, TURNWISE, PING))
        yield Target(
            f"session cost of one turn, {int(length):,} items",
            f"{sdk:.2f} ms, {sdk / ping:.0f} × PING",
            f"{turnwise:.2f} ms, {turnwise / ping:.1f} × PING",
            f"≤ {PINGS_OF_A_TURN} × PING",
            turnwise <= PINGS_OF_A_TURN * ping,
        )


def _concurrency(found: Results) -> Iterator[Target]:
    for length, samples in found.items():
        sdk, turnwise = samples[SDK]["median"], samples[TURNWISE]["median"]
        yield Target(
            f"turns/s of {SESSIONS} sessions at once in one process, {int(length):,} items",
            f"{sdk:,.0f}",
            f"{turnwise:,.0f}, {turnwise / sdk:.1f} × SDK",
            f"≥ {TIMES_THE_SDK} × SDK",
            turnwise >= TIMES_THE_SDK * sdk,
        )
        if SDK + SERVER in samples:
            yield _server_cpu(length, *(samples[f"{name}{SERVER}"]["median"] for name in _SIDES))


_SIDES = SDK, TURNWISE, PING


def _server_cpu(length: str, sdk: float, turnwise: float, ping: float) -> Target:
    return Target(
        f"the server's CPU time for one of these turns, {int(length):,} items",
        f"{sdk:.0f} µs, {sdk / ping:.1f} × PING",
        f"{turnwise:.0f} µs, {turnwise / ping:.1f} × PING",
        f"≤ {PINGS_OF_THE_SERVER} × PING",
        turnwise <= PINGS_OF_THE_SERVER * ping,
    )


def _connections(found: Results) -> Iterator[Target]:
    what = f"connections that {CALLERS} concurrent turns hold"
    turnwise = found[TURNWISE]
    goal = f"≤ {CONNECTIONS}"
    yield Target(what, str(found[SDK]), str(turnwise), goal, turnwise <= CONNECTIONS)


def _reads(found: Results) -> Iterator[Target]:
    for length, name, cache, limit in (
        ("1000", TURNWISE, "warm", WARM_READ),
        ("1000", COLD, "cold", COLD_READ),
        ("10000", COLD, "cold", COLD_READ),
    ):
        if length not in found:
            continue
        sdk, turnwise = found[length][SDK]["median"], found[length][name]["median"]
        yield Target(
            f"a caller's own get_items of {int(length):,} items, {cache} cache",
            f"{sdk:.2f} ms",
            f"{turnwise:.2f} ms, {turnwise / sdk:.2f} × SDK",
            f"≤ {limit} × SDK",
            turnwise <= limit * sdk,
        )


def _chat(found: Results) -> Iterator[Target]:
    limit = found["list"]["rate"]["median"]
    sdk, turnwise = (found[name]["rate"]["median"] / limit for name in (SDK, TURNWISE))
    what = "chat requests/s, as a share of the same app with a list as its session"
    goal = f"≥ {SHARE_OF_LIST:.0%}"
    yield Target(what, f"{sdk:.0%}", f"{turnwise:.0%}", goal, turnwise >= SHARE_OF_LIST)


def _memory(found: Results) -> Iterator[Target]:
    turnwise = found[OTHER_TASKS]["share"]
    what = "memory of real tool-calling conversations"
    goal = f"≤ {SHARE_OF_MEMORY:.0%}"
    yield Target(what, "100%", f"{turnwise:.0%}", goal, turnwise <= SHARE_OF_MEMORY)


def _images(found: Results) -> Iterator[Target]:
    item = found["item"]
    for kind, name in ((TURN_ID, "with a turn_id"), (BACKGROUND, "in the background")):
        what = f"memory of a turn {name} whose tool returns an image, as a share of that item"
        share = found[kind] / item
        yield Target(what, f"{found[SDK] / item:.0%}", f"{share:.0%}", "≤ 100%", share <= 1)


def _takeover(found: Results) -> Iterator[Target]:
    for lease, samples in found.items():
        worst, limit = max(each["max"] for each in samples.values()), float(lease) + AFTER_LEASE
        what = f"takeover after kill -9, lease of {lease} s: worst of {len(samples)} kinds"
        yield Target(what, "never", f"{worst:.1f} s", f"≤ {limit:g} s", worst <= limit)


def _cancel(found: Results) -> Iterator[Target]:
    for store, sample in found.items():
        what = f"cancel from another process, {store}: median, p99"
        goal = f"≤ {CANCEL_MS} ms"
        yield Target(what, "none", _median_p99(sample), goal, sample["p99"] <= CANCEL_MS)


def _background(found: Results) -> Iterator[Target]:
    for store, kinds in found.items():
        what = f"background, submit to begin when idle, {store}: median, p99"
        yield Target(what, "none", _median_p99(kinds["idle"]))


def _idle(found: Results) -> Iterator[Target]:
    for kind, label in (("turn", "cost of a turn"), ("begin", "submit to begin")):
        share = found[kind]["with"]["median"] / found[kind]["without"]["median"]
        what = f"{label} with {found['sessions']:,} idle sessions, as a share of without"
        yield Target(what, "-", f"{share:.0%}", f"≤ {BESIDE_IDLE:.0%}", share <= BESIDE_IDLE)
    looks = found["looks"]
    for kind in _those_of(looks, *_LOOKS):
        label, most = _LOOKS[kind]
        what = f"{label}, {found['sessions']:,} sessions: median, p99"
        goal, is_met = f"≤ {most} ms", looks[kind]["median"] <= most
        yield Target(what, "none", _median_p99(looks[kind]), goal, is_met)
    if "browsers" in found:
        share = found["browsers"]["with"]
        what = f"the server's CPU while {BROWSERS} browsers watch, as a share of a core"
        goal = f"≤ {WATCHED_CPU:.0%}"
        yield Target(what, "none", f"{share:.1%}", goal, share <= WATCHED_CPU)


def _waiting(found: Results) -> Iterator[Target]:
    for store, sample in found["wake_up"].items():
        what = f"begin of a waiting turn in another process, {store}: median, p99"
        yield Target(what, "none", _median_p99(sample))


def _growth(found: Results) -> Iterator[Target]:
    for kind, name, limit in (
        (GROWING_SESSIONS, "session", SESSION_BYTES),
        (MESSAGES, "background turn of its own session", MESSAGE_BYTES),
        (AGENTS, "agent made for its request", AGENT_BYTES),
    ):
        number, growth = found[kind]["number"], found[kind]["growth"]
        sdk = found[SDK_AGENTS]["growth"] if kind == AGENTS else None
        yield Target(
            f"growth of a process for each {name}, over {number:,.0f}",
            "-" if sdk is None else f"{sdk:,.0f} B",
            f"{growth:,.0f} B",
            f"flat: ≤ {limit:,} B" + " more than SDK" * (sdk is not None),
            growth <= limit + (sdk or 0),
        )


def _parked(found: Results) -> Iterator[Target]:
    return _beside(found, "parked sessions")


def _open_turns(found: Results) -> Iterator[Target]:
    return _beside(found, "sessions with open turns")


def _beside(found: Results, which: str) -> Iterator[Target]:
    cpu, without = found["with"]["cpu"], found["without"]["cpu"]
    yield Target(
        f"CPU of a worker beside {found['sessions']:,} {which}, each with a message",
        "-",
        f"{cpu:.1%}, {without:.1%} without them",
        f"≤ {PARKED_CPU:.0%} more than without",
        cpu <= without + PARKED_CPU,
    )
    if "begin" in found:
        begin = found["begin"]
        share = begin["with"]["median"] / begin["without"]["median"]
        yield Target(
            f"submit to begin beside {found['sessions']:,} {which}, as a share of without",
            "-",
            f"{share:.0%}",
            f"≤ {BESIDE_IDLE:.0%}",
            share <= BESIDE_IDLE,
        )


def _serve(found: Results) -> Iterator[Target]:
    for length, sides in found["rates"].items():
        sdk, turnwise = (sides[name]["rate"]["median"] for name in (SDK, TURNWISE))
        times, goal = sides["times"]["median"], TIMES_THE_APP[length]
        yield Target(
            f"requests/s of `turnwise serve` against an app on the SDK's session, {length} items",
            f"{sdk:,.0f}",
            f"{turnwise:,.0f}, {times:.2f} × SDK",
            f"≥ {goal} × SDK",
            times >= goal,
        )
    sdk, turnwise = (found["first_token"][name]["median"] for name in (SDK, TURNWISE))
    yield Target(
        "time to the first token against it",
        f"{sdk:.1f} ms",
        f"{turnwise:.1f} ms, {turnwise - sdk:+.1f} ms",
        f"≤ +{FIRST_TOKEN_MS} ms",
        turnwise <= sdk + FIRST_TOKEN_MS,
    )
    yield Target(
        "the same when the model needs no time: what serving adds to it",
        "-",
        f"{turnwise:.1f} ms",
        f"≤ {FIRST_TOKEN_MS} ms",
        turnwise <= FIRST_TOKEN_MS,
    )
    what, median = f"resume of a stream of {TOKENS:,} events", found["resume"]["median"]
    yield Target(what, "none", f"{median:.0f} ms", f"≤ {RESUME_MS} ms", median <= RESUME_MS)
    idle = found["idle"]
    yield Target(
        f"{idle['streams']:,} idle streams: memory of each, CPU of the server",
        "-",
        f"{idle['bytes'] / idle['streams'] / 1000:,.0f} kB, {idle['with']['cpu']:.0%}",
    )


def _streams(found: Results) -> Iterator[Target]:
    first, *_, last = found["megabytes"]
    yield Target(
        f"{found['streams']:,} streams at once: streams that lost a word, growth of memory",
        "-",
        f"{found['lost']}, {last - first:+.0f} MB of {first:.0f}",
        f"0, flat: ≤ {STREAMS_GROWTH:.0%}",
        found["lost"] == 0 and last <= first * (1 + STREAMS_GROWTH),
    )


def _median_p99(sample: Results) -> str:
    return f"{sample['median']:.1f}, {sample['p99']:.1f} ms"


def _those_of(found: Results, *names: str) -> list[str]:
    return [name for name in names if name in found]


_TARGETS: Mapping[str, Callable[[Results], Iterator[Target]]] = {
    "turns": _turns,
    "concurrency": _concurrency,
    "connections": _connections,
    "reads": _reads,
    "chat": _chat,
    "memory": _memory,
    "images": _images,
    "takeover": _takeover,
    "cancel": _cancel,
    "background": _background,
    "idle": _idle,
    "waiting": _waiting,
    "growth": _growth,
    "parked": _parked,
    "open_turns": _open_turns,
    "serve": _serve,
    "streams": _streams,
}
