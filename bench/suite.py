"""The parts of the benchmark: what each measures, how often, and in which order."""

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
from bench.concurrency import CALLERS, SESSIONS, measure_concurrency, measure_connections
from bench.environment import describe
from bench.fairness import measure_fairness
from bench.growth import AGENTS, MESSAGES, SDK_AGENTS, measure_growth
from bench.growth import SESSIONS as GROWING_SESSIONS
from bench.idle import measure_idle
from bench.images import measure_images
from bench.memory import SDK, measure_memory
from bench.parked import measure_parked
from bench.samples import Sample
from bench.serve import measure_serve
from bench.steps import measure_steps
from bench.streams import measure_streams
from bench.takeover import DEFAULT_LEASE, SHORT_LEASE, measure_takeover
from bench.targets import Results
from bench.traffic import measure_traffic
from bench.turns import measure_reads, turns_embedded, turns_on_redis
from bench.waiting import measure_queue, measure_wake_up

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """Rounds of each part and side, by length of the history where it varies."""

    turns: Mapping[int, int]
    reads: Mapping[int, int]
    embedded: Mapping[int, int]
    concurrency: Mapping[int, tuple[int, int]]  # rounds, and turns of each session in a round
    chat: tuple[int, float]  # rounds, and seconds of each route in a round
    conversations: int  # 1: all of them, 4: every fourth
    steps: int
    takeover: Mapping[float, tuple[int, int]]  # by lease: kills, and turns of each killed worker
    cancel: int
    background: tuple[int, int, int, float]  # rounds, messages in a round; idle messages; seconds
    fairness: tuple[int, int]  # messages of the hot session, and of other sessions
    idle: tuple[int, int, float]  # sessions, rounds, and seconds that browsers are observed
    waiting: tuple[int, float]  # rounds, and seconds that a queue of callers is observed
    growth: Mapping[str, int]  # how many of each kind
    parked: tuple[int, float, int]  # sessions, seconds that a worker is observed, messages
    serve: tuple[int, float, int, int, float]
    """Rounds, and seconds of each side in a round; streamed requests; idle streams, and seconds."""
    streams: tuple[int, float]  # how many, and for how many seconds
    quick: bool


FULL = Plan(
    turns={0: 200, 10: 200, 100: 200, 1_000: 120, 10_000: 50},
    reads={0: 200, 10: 200, 100: 200, 1_000: 100, 10_000: 30},
    embedded={0: 60, 10: 60, 100: 60, 1_000: 20},
    concurrency={20: (8, 10), 1_000: (4, 10)},
    chat=(21, 1.0),
    conversations=1,
    steps=60,
    takeover={DEFAULT_LEASE: (1, 24), SHORT_LEASE: (2, 24)},
    cancel=100,
    background=(5, 640, 100, 6.0),
    fairness=(1_000, 100),
    idle=(100_000, 120, 20.0),
    waiting=(100, 5.0),
    growth={GROWING_SESSIONS: 100_000, MESSAGES: 40_000, AGENTS: 4_000, SDK_AGENTS: 4_000},
    parked=(3_000, 5.0, 100),
    serve=(11, 1.0, 100, 1_000, 5.0),
    streams=(1_000, 60.0),
    quick=False,
)
QUICK = Plan(
    turns={0: 40, 10: 40, 100: 40, 1_000: 30, 10_000: 8},
    reads={10: 40, 1_000: 30, 10_000: 5},
    embedded={10: 20, 1_000: 10},
    concurrency={20: (2, 3), 1_000: (1, 3)},
    chat=(3, 0.5),
    conversations=4,
    steps=10,
    takeover={SHORT_LEASE: (1, 8)},
    cancel=20,
    background=(2, 192, 30, 1.5),
    fairness=(300, 30),
    idle=(20_000, 30, 5.0),
    waiting=(20, 2.0),
    growth={GROWING_SESSIONS: 8_000, MESSAGES: 400, AGENTS: 400, SDK_AGENTS: 400},
    parked=(300, 2.0, 20),
    serve=(3, 0.5, 20, 200, 2.0),
    streams=(200, 6.0),
    quick=True,
)


class Suite:
    """The parts. Each measures on the server at `url`, and returns its results for JSON."""

    def __init__(self, plan: Plan, url: str, stores: Mapping[str, str], progress: Progress) -> None:
        self.plan = plan
        self._url = url
        self._stores = stores
        self._progress = progress

    @property
    def parts(self) -> dict[str, Callable[[], Awaitable[Results]]]:
        """By name, in order."""
        return {
            "turns": self._turns,
            "concurrency": self._concurrency,
            "chat": self._chat,
            "memory": self._memory,
            "images": self._images,
            "steps": self._steps,
            "takeover": self._takeover,
            "cancel": self._cancel,
            "background": self._background,
            "fairness": self._fairness,
            "idle": self._idle,
            "waiting": self._waiting,
            "growth": self._growth,
            "parked": self._parked,
            "serve": self._serve,
            "streams": self._streams,
        }

    async def _turns(self) -> Results:
        turns, reads, embedded = dict[str, Any](), dict[str, Any](), dict[str, Any]()
        for length, rounds in self.plan.turns.items():
            self._progress(f"turns at {length:,} items")
            turns[str(length)] = _json(await turns_on_redis(self._url, length, rounds))
        for length, rounds in self.plan.reads.items():
            self._progress(f"get_items of {length:,} items")
            reads[str(length)] = _json(await measure_reads(self._url, length, rounds))
        for length, rounds in self.plan.embedded.items():
            self._progress(f"turns at {length:,} items, SQLite and memory")
            with tempfile.TemporaryDirectory(prefix="turnwise-bench-") as folder:
                measured = await turns_embedded(Path(folder), length, rounds)
            embedded[str(length)] = _json(measured)
        self._progress("network traffic")
        found = await measure_traffic(self._url, list(self.plan.turns))
        traffic = {str(length): contenders for length, contenders in found.items()}
        return {"turns": turns, "reads": reads, "embedded": embedded, "traffic": traffic}

    async def _concurrency(self) -> Results:
        found = {}
        for length, rounds in self.plan.concurrency.items():
            self._progress(f"{SESSIONS} concurrent sessions at {length:,} items")
            found[str(length)] = _json(await measure_concurrency(self._url, length, *rounds))
        self._progress(f"connections of {CALLERS} concurrent turns")
        return {"concurrency": found, "connections": await measure_connections(self._url)}

    async def _chat(self) -> Results:
        self._progress("chat requests")
        setting = {"connections": CONNECTIONS, "turns": TURNS}
        chat = await measure_chat(self._url, *self.plan.chat)
        return {"chat_setting": setting, "chat": _nested_json(chat)}

    async def _memory(self) -> Results:
        self._progress("memory of real conversations")
        return {"memory": _shares(await measure_memory(self._url, self.plan.conversations))}

    async def _images(self) -> Results:
        self._progress("memory of images")
        return {"images": await measure_images(self._url)}

    async def _steps(self) -> Results:
        self._progress("steps of durable runs")
        return {"steps": _nested_json(await measure_steps(self._url, self.plan.steps))}

    async def _takeover(self) -> Results:
        found = {}
        for lease, (kills, turns) in self.plan.takeover.items():
            self._progress(f"takeover after SIGKILL, lease of {lease:g} s")
            samples = await measure_takeover(self._stores, lease, kills, turns)
            found[f"{lease:g}"] = {name: _with_values(sample) for name, sample in samples.items()}
        return {"takeover": found}

    async def _cancel(self) -> Results:
        self._progress("cancelling turns of another process")
        stores = self._stores.items()
        measured = {name: await measure_cancel(url, self.plan.cancel) for name, url in stores}
        return {"cancel": _with_percentiles(measured)}

    async def _background(self) -> Results:
        found = {}
        for name, url in self._stores.items():
            self._progress(f"background turns, {name}")
            found[name] = _with_percentiles(await measure_background(url, *self.plan.background))
        return {"background": found}

    async def _fairness(self) -> Results:
        self._progress("a hot session beside others")
        stores = self._stores.items()
        found = {name: await measure_fairness(url, *self.plan.fairness) for name, url in stores}
        return {"fairness": found}

    async def _idle(self) -> Results:
        self._progress(f"{self.plan.idle[0]:,} idle sessions")
        return {"idle": await measure_idle(self._url, *self.plan.idle)}

    async def _waiting(self) -> Results:
        self._progress("waiting callers")
        rounds, seconds = self.plan.waiting
        wake_up = {name: await measure_wake_up(url, rounds) for name, url in self._stores.items()}
        queue = await measure_queue(self._url, seconds)
        return {"waiting": {"wake_up": _with_percentiles(wake_up), "queue": queue}}

    async def _growth(self) -> Results:
        self._progress("growth of processes")
        return {"growth": await measure_growth(self._url, self.plan.growth)}

    async def _parked(self) -> Results:
        self._progress(f"{self.plan.parked[0]:,} sessions with parked turns, and with open ones")
        return await measure_parked(self._url, *self.plan.parked)

    async def _serve(self) -> Results:
        self._progress("the server, beside an app without Turnwise")
        return {"serve": await measure_serve(self._url, *self.plan.serve)}

    async def _streams(self) -> Results:
        self._progress(f"{self.plan.streams[0]:,} streams at once")
        return {"streams": await measure_streams(self._url, *self.plan.streams)}


PARTS = tuple(Suite(FULL, "", {}, print).parts)


async def run_suite(
    plan: Plan, url: str, progress: Progress, only: Collection[str] = PARTS
) -> Results:
    """Measure these parts on the server at `url` and on SQLite; returns the results for JSON."""
    environment = await describe(url)
    results: Results = {"environment": environment, "quick": plan.quick}
    with tempfile.TemporaryDirectory(prefix="turnwise-bench-") as folder:
        server = environment["server"].split()[0]
        stores = {server: url, "SQLite": f"sqlite:///{folder}/sessions.db"}
        for name, part in Suite(plan, url, stores, progress).parts.items():
            if name in only:
                results |= await part()
    return results


def _json(samples: Mapping[str, Sample]) -> dict[str, Any]:
    gc.collect()  # the next measurement does not pay for the garbage of this one
    return {name: sample.as_json() for name, sample in samples.items()}


def _nested_json(measured: Mapping[str, Mapping[str, Sample]]) -> dict[str, Any]:
    return {name: _json(samples) for name, samples in measured.items()}


def _with_percentiles(samples: Mapping[str, Sample]) -> dict[str, Any]:
    return {name: sample.with_percentiles() for name, sample in samples.items()}


def _with_values(sample: Sample) -> dict[str, Any]:
    """With all values, for the plots."""
    return {
        **sample.with_percentiles(),
        "values": [round(value, 3) for value in sorted(sample.values)],
    }


def _shares(usage: Mapping[str, list[int]]) -> dict[str, Any]:
    """Bytes of all conversations, and their size relative to the SDK's, in sum and for each."""
    found = {}
    for name, sizes in usage.items():
        shares = [size / sdk for size, sdk in zip(sizes, usage[SDK], strict=True)]
        found[name] = {
            "bytes": sum(sizes),
            "share": sum(sizes) / sum(usage[SDK]),
            "of_each": Sample(shares).as_json(),
        }
    return found
