"""The benchmark measures, reports and draws; what it finds is not the matter here."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from bench.plan import PARTS, Plan, carry_out
from bench.plots import draw
from bench.report import heading, tables
from bench.targets import aims
from turnwise.testing.servers import ValkeyServer

SMALLEST = Plan(
    turns={0: 2, 10: 2},
    reads={10: 2, 1_000: 2},
    embedded={10: 2},
    crowd=(1, 1),
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
TARGETS = {
    "turns": 3,  # one of the lengths, and reads
    "chat": 1,
    "memory": 1,
    "takeover": 4,
    "cancel": 2,
    "background": 2,
    "idle": 2,
    "waiting": 2,
}


async def _results(*parts: str) -> dict[str, Any]:
    """As they are read back from their file."""
    async with ValkeyServer() as server:
        measured = await carry_out(SMALLEST, server.url, lambda _: None, parts)
    results: dict[str, Any] = json.loads(json.dumps({**measured, "seconds": 1, "load_after": 0.0}))
    return results


PICTURES = {"turns": "turns", "takeover": "takeover", "memory": "throughput"}
TOGETHER = {"chat": ("chat", "memory")}


@pytest.mark.parametrize("part", [part for part in PARTS if part != "memory"])
async def test_each_part_reports_what_it_measured(part: str, tmp_path: Path) -> None:
    parts = TOGETHER.get(part, (part,))
    results = await _results(*parts)
    assert set(parts) <= set(results)
    assert len(aims(results)) == sum(TARGETS.get(name, 0) for name in parts)
    console = Console(record=True, width=120)
    shown = list(tables(results))
    assert len(shown) > 1
    for table in shown:
        table.show(console)
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in table.markdown()
    assert "Targets" in console.export_text()
    assert results["environment"]["server"] in heading(results)
    pictures = draw(results, tmp_path)
    assert [picture.stem for picture in pictures] == [
        PICTURES[name] for name in parts if name in PICTURES
    ]
    assert all(picture.stat().st_size > 10_000 for picture in pictures)


async def test_a_turn_is_two_commands() -> None:
    results = await _results("turns")
    assert results["turns"]["10"]["turnwise"]["n"] == 2
    assert results["wire"]["10"]["turnwise"]["commands"] == ["EVALSHA", "EVALSHA"]
