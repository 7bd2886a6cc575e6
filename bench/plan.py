"""How much is measured, and in which order."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.chat import CONNECTIONS, TURNS, measure_chat
from bench.crowd import HISTORY, SESSIONS, measure_crowd
from bench.environment import describe
from bench.memory import SDK, measure_memory
from bench.samples import Sample
from bench.turns import measure_reads, turns_embedded, turns_on_redis
from bench.wire import measure_wire

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Rounds of each measurement, by length of the history where there is one."""

    turns: Mapping[int, int]
    reads: Mapping[int, int]
    embedded: Mapping[int, int]
    crowd: tuple[int, int]  # rounds, and turns of each session in one
    chat: tuple[int, float]  # rounds, and seconds of each route in one
    conversations: int  # each of them, or each so many-th
    quick: bool


FULL = Plan(
    turns={0: 200, 10: 200, 100: 200, 1_000: 120, 10_000: 50},
    reads={0: 200, 10: 200, 100: 200, 1_000: 100, 10_000: 30},
    embedded={0: 60, 10: 60, 100: 60, 1_000: 20},
    crowd=(11, 10),
    chat=(21, 1.0),
    conversations=1,
    quick=False,
)
QUICK = Plan(
    turns={0: 40, 10: 40, 100: 40, 1_000: 30, 10_000: 8},
    reads={10: 40, 1_000: 30, 10_000: 5},
    embedded={10: 20, 1_000: 10},
    crowd=(3, 3),
    chat=(3, 0.5),
    conversations=4,
    quick=True,
)


async def carry_out(plan: Plan, url: str, tell: Tell) -> dict[str, Any]:
    """Measure everything on the server at `url`; the results as they are written to JSON."""
    results: dict[str, Any] = {"environment": await describe(url), "quick": plan.quick}
    results["chat_setting"] = {"connections": CONNECTIONS, "turns": TURNS}
    results["crowd_setting"] = {"sessions": SESSIONS, "history": HISTORY}
    results["turns"], results["reads"], results["embedded"] = {}, {}, {}
    for length, rounds in plan.turns.items():
        tell(f"turns at {length:,} items")
        results["turns"][str(length)] = _json(await turns_on_redis(url, length, rounds))
    for length, rounds in plan.reads.items():
        tell(f"get_items of {length:,} items")
        results["reads"][str(length)] = _json(await measure_reads(url, length, rounds))
    for length, rounds in plan.embedded.items():
        tell(f"turns at {length:,} items, SQLite and memory")
        with tempfile.TemporaryDirectory(prefix="turnwise-bench-") as folder:
            measured = await turns_embedded(Path(folder), length, rounds)
        results["embedded"][str(length)] = _json(measured)
    tell("the wire")
    wire = await measure_wire(url, list(plan.turns))
    results["wire"] = {str(length): sides for length, sides in wire.items()}
    tell(f"{SESSIONS} concurrent sessions")
    results["crowd"] = _json(await measure_crowd(url, *plan.crowd))
    tell("chat requests")
    chat = await measure_chat(url, *plan.chat)
    results["chat"] = {route: _json(samples) for route, samples in chat.items()}
    tell("memory of real conversations")
    results["memory"] = _shares(await measure_memory(url, plan.conversations))
    return results


def _json(samples: Mapping[str, Sample]) -> dict[str, Any]:
    gc.collect()  # what a measurement leaves behind is no burden of the next
    return {name: sample.as_json() for name, sample in samples.items()}


def _shares(usage: Mapping[str, list[int]]) -> dict[str, Any]:
    """Bytes of all conversations, and each conversation's share of what the SDK takes for it."""
    found = {}
    for name, sizes in usage.items():
        shares = [size / sdk for size, sdk in zip(sizes, usage[SDK], strict=True)]
        found[name] = {
            "bytes": sum(sizes),
            "share": sum(sizes) / sum(usage[SDK]),
            "of_each": Sample(shares).as_json(),
        }
    return found
