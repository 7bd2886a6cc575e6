"""The verbs that list: what a person and a program read."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from tests.integration.test_cli import lines
from turnwise import connect
from turnwise.fleet.workers import WorkerRecord

HOSTILE = "w\x1b[31m\nred\u202e[bold]"


async def test_workers_are_listed_in_each_form(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        record = WorkerRecord("host", 7, "1.0", 0.0, ["a", "b"], 50, 2, turns=[("s1", "t1")])
        await session.runtime.store.workers.write(HOSTILE, msgspec.json.encode(record))
        names, _, row = [line for line in await lines(url, "workers", "list") if line.strip()]
        assert names.split() == [
            *("WORKER", "STATE", "HEARTBEAT", "BUSY", "AGENTS", "HOLDS", "VERSION", "STARTED"),
        ]
        assert row.split()[0] == r"w\x1b[31m\nred\u202e[bold]"
        assert row.split()[1:] == [
            *("alive", "0s", "ago", "2/50", "a,", "b", "s1", "1.0", "1970-01-01T00:00:00+00:00"),
        ]
        (found,) = json.loads("".join(await lines(url, "workers", "list", "-o", "json")))
        (line,) = await lines(url, "workers", "list", "-o", "jsonl")
        assert line.isascii()
        for worker in (found, json.loads(line)):
            assert worker["name"] == HOSTILE
            assert worker["turns"] == [{"session_id": "s1", "turn_id": "t1"}]
            assert worker["alive"]
