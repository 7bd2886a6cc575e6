"""`turnwise top`: the fleet as it is now."""

from __future__ import annotations

import io
import json
from pathlib import Path

import msgspec
import pytest
from rich.console import Console

from tests.integration.fault_lab import message
from tests.integration.test_cli import invoked, lines
from turnwise import connect
from turnwise.cli import top
from turnwise.fleet.workers import WorkerRecord

HOSTILE = "w\x1b[31m\nred[bold]"


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'sessions.db'}"


async def filled(url: str) -> None:
    async with connect(url) as session:
        record = WorkerRecord("host", 7, "1.0", 0.0, ["support"], 50, 2, latency=[3], takeovers=2)
        await session.runtime.store.workers.write(HOSTILE, msgspec.json.encode(record))
        await session.bind("idle").add_items([message("secret")])
        await session.submit("waits", "secret", agent="support")
        await session.pause_queue("support")


async def test_each_look_is_an_object(url: str) -> None:
    await filled(url)
    first, second = map(json.loads, await lines(url, "top", "--looks", "2", "-o", "jsonl"))
    for look in (first, second):
        assert (look["workers"], look["silent_workers"]) == (1, 0)
        assert (look["slots_used"], look["slots"]) == (2, 50)
        assert look["sessions"] == {"idle": 1, "queued": 1}
        assert (look["queued"], look["pauses"], look["dead_letters"]) == (1, 1, 0)
        assert look["oldest_waiting"] >= 0
        assert (look["median_seconds"], look["takeovers"]) == (None, 0)  # none since it looks
        assert look["error"] is None
        assert look["ping"] > 0
    assert second["counted_at"] >= first["counted_at"]
    assert second["turns_per_second"] == 0


async def test_what_a_person_reads(url: str) -> None:
    await filled(url)
    text = "\n".join(await lines(url, "top", "--looks", "1"))
    for told in ("2 of 50 used", "1 idle, 1 queued", r"w\x1b[31m\nred[bold]", "alive", "support"):
        assert told in text
    assert "secret" not in text


async def test_on_a_terminal_it_draws_in_place(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await filled(url)
    drawn = io.StringIO()
    terminal = Console(file=drawn, force_terminal=True, width=100, height=30)
    monkeypatch.setattr(top, "console", lambda: terminal)
    assert (await invoked(url, "top", "--looks", "2")).exit_code == 0
    assert drawn.getvalue().count("2 of 50 used") == 2
    assert "\x1b[?1049h" in drawn.getvalue()  # a screen of its own, that is left at the end
    assert "\x1b[?1049l" in drawn.getvalue()


async def test_a_store_that_does_not_answer_is_told(tmp_path: Path) -> None:
    (tmp_path / "other.db").write_text("this is no database, and long enough to look like one" * 20)
    result = await invoked(
        f"sqlite:///{tmp_path / 'other.db'}", "top", "--looks", "1", "-o", "json"
    )
    assert result.exit_code == 1
    assert "other.db" in json.loads(result.stdout)["error"]
