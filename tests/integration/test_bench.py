"""The benchmark measures, reports and draws. Its figures are not checked here."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.plots import draw
from bench.report import heading, tables
from bench.suite import PARTS, Plan, run_suite
from bench.targets import targets
from turnwise.testing.servers import ValkeyServer

SMALLEST = Plan(
    turns={0: 2, 10: 2},
    reads={10: 2, 1_000: 2},
    embedded={10: 2},
    concurrency=(1, 1),
    chat=(1, 0.1),
    conversations=25,
    steps=1,
    takeover={1.0: (1, 1)},
    cancel=2,
    background=(1, 20, 2, 0.1),
    fairness=(50, 2),
    idle=(100, 2),
    waiting=(2, 0.1),
    quick=True,
)
TARGET_COUNTS = {
    "turns": 3,  # turns of one length, and reads from a warm and a cold cache
    "chat": 1,
    "memory": 1,
    "takeover": 4,
    "cancel": 2,
    "background": 2,
    "idle": 2,
    "waiting": 2,
}


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


async def test_a_turn_is_two_commands() -> None:
    results = await _results("turns")
    assert results["turns"]["10"]["turnwise"]["n"] == 2
    assert results["traffic"]["10"]["turnwise"]["commands"] == ["EVALSHA", "EVALSHA"]
