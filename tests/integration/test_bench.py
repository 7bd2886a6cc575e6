"""The benchmark measures, reports and draws. Its figures are not checked here."""

import gc
import json
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.__main__ import FOLDER
from bench.growth import AGENTS, MESSAGES, SDK_AGENTS, SESSIONS
from bench.plots import draw
from bench.readme import END, README, START, figures, write_figures
from bench.report import heading, tables
from bench.samples import PHASES, Call, Prepare, measure_in_phases
from bench.suite import PARTS, Plan, run_suite
from bench.targets import targets
from turnwise.testing.servers import ValkeyServer

SMALLEST = Plan(
    turns={0: 2, 10: 2},
    reads={10: 2, 1_000: 2},
    embedded={10: 2},
    concurrency={20: (1, 1)},
    chat=(1, 0.1),
    conversations=25,
    steps=1,
    takeover={1.0: (1, 1)},
    cancel=2,
    background=(1, 20, 2, 0.1),
    fairness=(50, 2),
    idle=(100, 2, 0.1),
    waiting=(2, 0.1),
    growth={SESSIONS: 8, MESSAGES: 4, AGENTS: 4, SDK_AGENTS: 4},
    parked=(10, 0.1, 2),
    serve=(1, 0.1, 2, 3, 0.1),
    streams=(100, 2.0),
    quick=True,
)
TARGET_COUNTS = {
    "turns": 3,  # turns of one length, and reads from a warm and a cold cache
    "concurrency": 3,  # turns/s, the server's CPU time and connections
    "chat": 1,
    "memory": 1,
    "images": 2,
    "takeover": 1,
    "cancel": 2,
    "background": 2,
    "idle": 6,  # a turn and a begin beside them; three looks of operators; browsers
    "waiting": 2,
    "growth": 3,
    "parked": 4,  # CPU, and submit to begin, beside parked turns and beside open ones
    "serve": 6,  # requests/s at two lengths, the first token twice, resuming, idle streams
    "streams": 1,
}


@pytest.fixture(autouse=True)
def freeze_garbage_collector() -> Iterator[None]:
    """As the benchmark does: it collects before each phase, and would visit all that is loaded."""
    gc.freeze()
    yield
    gc.unfreeze()


async def _results(*parts: str) -> dict[str, Any]:
    """The results of these parts, as they are read back from JSON."""
    async with ValkeyServer() as server:
        measured = await run_suite(SMALLEST, server.url, lambda _: None, parts)
    results: dict[str, Any] = json.loads(json.dumps({**measured, "seconds": 1, "load_after": 0.0}))
    return results


PLOTS = {"turns": "turns", "takeover": "takeover", "memory": "throughput"}
TOGETHER = {"chat": ("chat", "memory")}  # one plot shows both


@pytest.mark.parametrize("part", [part for part in PARTS if part != "memory"])
async def test_each_part_reports_what_it_measured(part: str, tmp_path: Path) -> None:
    parts = TOGETHER.get(part, (part,))
    results = await _results(*parts)
    assert set(parts) <= set(results)
    assert len(targets(results)) == sum(TARGET_COUNTS.get(name, 0) for name in parts)
    console = Console(record=True, width=120)
    all_tables = list(tables(results))
    assert len(all_tables) > 1
    for table in all_tables:
        table.show(console)
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in table.markdown()
    assert "Targets" in console.export_text()
    assert results["environment"]["server"] in heading(results)
    plots = draw(results, tmp_path)
    assert [plot.stem for plot in plots] == [PLOTS[name] for name in parts if name in PLOTS]
    assert all(plot.stat().st_size > 10_000 for plot in plots)


async def test_no_stream_of_many_loses_anything() -> None:
    found = (await _results("streams"))["streams"]
    assert (found["streams"], found["lost"]) == (100, 0)


async def test_readme_gets_the_figures_of_a_run_and_keeps_the_rest(tmp_path: Path) -> None:
    results = await _results("turns", "images")
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{START}old\n{END}after\n")
    write_figures(results, readme)
    assert readme.read_text() == f"before\n{START}{figures(results)}{END}after\n"
    median = results["turns"]["10"]["turnwise"]["median"]
    assert f"| {median:.2f} ms, " in readme.read_text()


def test_the_figures_in_readme_are_those_of_the_kept_results() -> None:
    kept = json.loads((FOLDER / "results.json").read_text())
    assert f"{START}{figures(kept)}{END}" in README.read_text()


async def test_each_side_has_phases_of_its_own() -> None:
    calls: list[str] = []

    def side(name: str) -> Prepare:
        async def call() -> None:
            calls.append(name)

        async def prepare() -> Call:
            return call

        return prepare

    samples = await measure_in_phases({"a": side("a"), "b": side("b")}, rounds=8, phases=2)
    assert [name for name, _ in groupby(calls)] == ["a", "b", "a"]  # forwards, then backwards
    assert {name: len(sample.values) for name, sample in samples.items()} == {
        "a": 8,
        "a CPU": 8,
        "b": 8,
        "b CPU": 8,
    }


async def test_a_turn_is_two_commands() -> None:
    results = await _results("turns")
    assert results["turns"]["10"]["turnwise"]["n"] == PHASES
    assert results["traffic"]["10"]["turnwise"]["commands"] == ["EVALSHA", "EVALSHA"]
