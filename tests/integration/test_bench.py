"""The benchmark measures, reports and draws; what it finds is not the matter here."""

import json
from pathlib import Path

from rich.console import Console

from bench.plan import Plan, carry_out
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
    quick=True,
)


async def test_the_benchmark_reports_what_it_measured(tmp_path: Path) -> None:
    async with ValkeyServer() as server:
        measured = await carry_out(SMALLEST, server.url, lambda _: None)
    # As it is read back from its file.
    results = json.loads(json.dumps({**measured, "seconds": 1, "load_after": 0.0}))
    assert results["turns"]["10"]["turnwise"]["n"] == 2
    assert results["wire"]["10"]["turnwise"]["commands"] == ["EVALSHA", "EVALSHA"]
    assert len(aims(results)) == 5
    assert results["environment"]["server"] in heading(results)
    console = Console(record=True, width=120)
    for table in tables(results):
        table.show(console)
        assert all(len(row) == len(table.columns) for row in table.rows)
        assert table.title in table.markdown()
    assert "Targets" in console.export_text()
    assert all(picture.stat().st_size > 10_000 for picture in draw(results, tmp_path))
