"""How much is measured, and in which order."""

from __future__ import annotations

import gc
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.background import measure_background
from bench.cancel import measure_cancel
from bench.chat import CONNECTIONS, TURNS, measure_chat
from bench.crowd import HISTORY, SESSIONS, measure_crowd
from bench.environment import describe
from bench.fairness import measure_fairness
from bench.idle import measure_idle
from bench.memory import SDK, measure_memory
from bench.samples import Sample
from bench.steps import measure_steps
from bench.takeover import DEFAULT_LEASE, SHORT_LEASE, measure_takeover
from bench.turns import measure_reads, turns_embedded, turns_on_redis
from bench.waiting import measure_line, measure_wake_up
from bench.wire import measure_wire

Tell = Callable[[str], None]
Results = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """Rounds of each measurement, by length of the history where there is one."""

    turns: Mapping[int, int]
    reads: Mapping[int, int]
    embedded: Mapping[int, int]
    crowd: tuple[int, int]  # rounds, and turns of each session in one
    chat: tuple[int, float]  # rounds, and seconds of each route in one
    conversations: int  # each of them, or each so many-th
    steps: int
    takeover: Mapping[float, tuple[int, int]]  # by lease: kills, and turns that each strikes
    cancel: int
    background: tuple[int, int, int, float]  # rounds, messages of one; messages at idle; seconds
    fairness: tuple[int, int]  # messages of the hot session, and of others
    idle: tuple[int, int]  # sessions, and rounds
    waiting: tuple[int, float]  # rounds, and seconds that a line of callers is watched
    quick: bool


FULL = Plan(
    turns={0: 200, 10: 200, 100: 200, 1_000: 120, 10_000: 50},
    reads={0: 200, 10: 200, 100: 200, 1_000: 100, 10_000: 30},
    embedded={0: 60, 10: 60, 100: 60, 1_000: 20},
    crowd=(11, 10),
    chat=(21, 1.0),
    conversations=1,
    steps=60,
    takeover={DEFAULT_LEASE: (1, 24), SHORT_LEASE: (2, 24)},
    cancel=100,
    background=(5, 640, 100, 6.0),
    fairness=(1_000, 100),
    idle=(100_000, 120),
    waiting=(100, 5.0),
    quick=False,
)
QUICK = Plan(
    turns={0: 40, 10: 40, 100: 40, 1_000: 30, 10_000: 8},
    reads={10: 40, 1_000: 30, 10_000: 5},
    embedded={10: 20, 1_000: 10},
    crowd=(3, 3),
    chat=(3, 0.5),
    conversations=4,
    steps=10,
    takeover={SHORT_LEASE: (1, 8)},
    cancel=20,
    background=(2, 192, 30, 1.5),
    fairness=(300, 30),
    idle=(20_000, 30),
    waiting=(20, 2.0),
    quick=True,
)


class Bench:
    """The parts, each of which measures on the server at `url`; results as they go to JSON."""

    def __init__(self, plan: Plan, url: str, stores: Mapping[str, str], tell: Tell) -> None:
        self.plan = plan
        self._url = url
        self._stores = stores
        self._tell = tell

    @property
    def parts(self) -> dict[str, Callable[[], Awaitable[Results]]]:
        """By name, in order."""
        return {
            "turns": self._turns,
            "crowd": self._crowd,
            "chat": self._chat,
            "memory": self._memory,
            "steps": self._steps,
            "takeover": self._takeover,
            "cancel": self._cancel,
            "background": self._background,
            "fairness": self._fairness,
            "idle": self._idle,
            "waiting": self._waiting,
        }

    async def _turns(self) -> Results:
        turns, reads, embedded = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        for length, rounds in self.plan.turns.items():
            self._tell(f"turns at {length:,} items")
            turns[str(length)] = _json(await turns_on_redis(self._url, length, rounds))
        for length, rounds in self.plan.reads.items():
            self._tell(f"get_items of {length:,} items")
            reads[str(length)] = _json(await measure_reads(self._url, length, rounds))
        for length, rounds in self.plan.embedded.items():
            self._tell(f"turns at {length:,} items, SQLite and memory")
            with tempfile.TemporaryDirectory(prefix="turnwise-bench-") as folder:
                measured = await turns_embedded(Path(folder), length, rounds)
            embedded[str(length)] = _json(measured)
        self._tell("the wire")
        found = await measure_wire(self._url, list(self.plan.turns))
        wire = {str(length): sides for length, sides in found.items()}
        return {"turns": turns, "reads": reads, "embedded": embedded, "wire": wire}

    async def _crowd(self) -> Results:
        self._tell(f"{SESSIONS} concurrent sessions")
        setting = {"sessions": SESSIONS, "history": HISTORY}
        measured = await measure_crowd(self._url, *self.plan.crowd)
        return {"crowd_setting": setting, "crowd": _json(measured)}

    async def _chat(self) -> Results:
        self._tell("chat requests")
        setting = {"connections": CONNECTIONS, "turns": TURNS}
        chat = await measure_chat(self._url, *self.plan.chat)
        return {"chat_setting": setting, "chat": _each(chat)}

    async def _memory(self) -> Results:
        self._tell("memory of real conversations")
        return {"memory": _shares(await measure_memory(self._url, self.plan.conversations))}

    async def _steps(self) -> Results:
        self._tell("steps of runs")
        return {"steps": _each(await measure_steps(self._url, self.plan.steps))}

    async def _takeover(self) -> Results:
        found = {}
        for lease, (kills, turns) in self.plan.takeover.items():
            self._tell(f"takeover after SIGKILL, lease of {lease:g} s")
            samples = await measure_takeover(self._stores, lease, kills, turns)
            found[f"{lease:g}"] = {name: _kept(sample) for name, sample in samples.items()}
        return {"takeover": found}

    async def _cancel(self) -> Results:
        self._tell("cancelling turns of another process")
        stores = self._stores.items()
        measured = {name: await measure_cancel(url, self.plan.cancel) for name, url in stores}
        return {"cancel": _tails(measured)}

    async def _background(self) -> Results:
        found = {}
        for name, url in self._stores.items():
            self._tell(f"background turns, {name}")
            found[name] = _tails(await measure_background(url, *self.plan.background))
        return {"background": found}

    async def _fairness(self) -> Results:
        self._tell("a hot session and others")
        stores = self._stores.items()
        found = {name: await measure_fairness(url, *self.plan.fairness) for name, url in stores}
        return {"fairness": found}

    async def _idle(self) -> Results:
        self._tell(f"{self.plan.idle[0]:,} idle sessions")
        return {"idle": await measure_idle(self._url, *self.plan.idle)}

    async def _waiting(self) -> Results:
        self._tell("callers that wait")
        rounds, seconds = self.plan.waiting
        wake_up = {name: await measure_wake_up(url, rounds) for name, url in self._stores.items()}
        line = await measure_line(self._url, seconds)
        return {"waiting": {"wake_up": _tails(wake_up), "line": line}}


PARTS = tuple(Bench(FULL, "", {}, print).parts)


async def carry_out(plan: Plan, url: str, tell: Tell, only: Collection[str] = PARTS) -> Results:
    """Measure these parts on the server at `url`, and on SQLite; as it is written to JSON."""
    environment = await describe(url)
    results: Results = {"environment": environment, "quick": plan.quick}
    with tempfile.TemporaryDirectory(prefix="turnwise-bench-") as folder:
        server = environment["server"].split()[0]
        stores = {server: url, "SQLite": f"sqlite:///{folder}/sessions.db"}
        for name, part in Bench(plan, url, stores, tell).parts.items():
            if name in only:
                results |= await part()
    return results


def _json(samples: Mapping[str, Sample]) -> dict[str, Any]:
    gc.collect()  # what a measurement leaves behind is no burden of the next
    return {name: sample.as_json() for name, sample in samples.items()}


def _each(measured: Mapping[str, Mapping[str, Sample]]) -> dict[str, Any]:
    return {name: _json(samples) for name, samples in measured.items()}


def _tails(samples: Mapping[str, Sample]) -> dict[str, Any]:
    return {name: sample.with_tail() for name, sample in samples.items()}


def _kept(sample: Sample) -> dict[str, Any]:
    """With all values, to be drawn."""
    return {**sample.with_tail(), "values": [round(value, 3) for value in sorted(sample.values)]}


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
