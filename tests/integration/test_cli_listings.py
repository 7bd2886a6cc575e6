"""The verbs that list: what a person and a program read."""

from __future__ import annotations

import json
import os
import re
from operator import itemgetter
from pathlib import Path
from typing import Any, Literal

import msgspec

from tests.integration.background_lab import echo
from tests.integration.fault_lab import message
from tests.integration.test_cli import invoked, lines
from turnwise import connect
from turnwise.background import Policy
from turnwise.fleet.workers import WorkerRecord
from turnwise.session import Session

LIST = ("sessions", "list")
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
        name, state, age, *rest = row.split()
        assert (name, state) == (r"w\x1b[31m\nred\u202e[bold]", "alive")
        assert re.fullmatch(r"\d+[smh]", age)
        assert rest == [
            *("ago", "2/50", "a,", "b", "s1", "1.0", "1970-01-01T00:00:00+00:00"),
        ]
        (found,) = json.loads("".join(await lines(url, "workers", "list", "-o", "json")))
        (line,) = await lines(url, "workers", "list", "-o", "jsonl")
        assert line.isascii()
        for worker in (found, json.loads(line)):
            assert worker["name"] == HOSTILE
            assert worker["turns"] == [{"session_id": "s1", "turn_id": "t1"}]
            assert worker["alive"]


async def test_sessions_are_listed_by_filters_and_in_pages(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url, worker="me") as session:
        for number in range(5):
            await session.bind(f"user-{number}").add_items([message(os.urandom(50 * number).hex())])
        await session.submit("waits", "secret", agent="a")
        async with session.turn("user-1", turn_id="t"):
            rows = [json.loads(line) for line in await lines(url, *LIST, "-o", "jsonl")]
            assert {row["session_id"]: row["state"] for row in rows} == {
                **{f"user-{number}": "idle" for number in (0, 2, 3, 4)},
                "user-1": "running",
                "waits": "queued",
            }
            assert await listed(url, "--state", "running") == ["user-1"]
            assert await listed(url, "--worker", "me") == ["user-1"]
            size = next(row["bytes"] for row in rows if row["session_id"] == "user-3")
            assert await listed(url, "--min-bytes", str(size)) == ["user-3", "user-4"]
            assert await listed(url, "--min-age", "3600") == []
            assert await listed(url, "--match", "wa*") == ["waits"]
            table = "\n".join(await lines(url, *LIST))
            assert "running" in table
            assert "secret" not in table
        result = await invoked(url, *LIST, "--count", "2", "-o", "jsonl")
        cursor = result.stderr.split()[-1]
        assert await listed(url, "--cursor", cursor) == [
            *("user-2", "user-3", "user-4", "waits"),
        ]
        result = await invoked(url, *LIST, "--state", "no")
        assert (result.exit_code, "use one of idle, queued" in result.output) == (1, True)


async def test_dead_letters_are_listed_in_pages(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await fail(session, ["s0", "s1", "s2"], "next")
        command, how = ["dead-letters", "list"], ["-o", "jsonl", "--count", "2"]
        first = await invoked(url, *command, *how)
        (told,) = first.stderr.splitlines()
        following = told.removeprefix("there are more: ").split()
        last = await invoked(url, *command, *how, *following)
    rows = [json.loads(row) for each in (first, last) for row in each.stdout.splitlines()]
    assert [row["session_id"] for row in rows] == ["s0", "s1", "s2"]
    assert last.stderr == ""


async def test_dead_letters_of_stopped_sessions_have_no_next_page(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await fail(session, names := ["s0", "s1", "s2"], "stop")
        command = ["dead-letters", "list", "--state", "stopped", "-o", "jsonl"]
        first = await invoked(url, *command, "--count", "2")
        assert (first.exit_code, len(first.stdout.splitlines())) == (0, 2)
        assert first.stderr == "there are more: a larger --count\n"
        rows = [json.loads(row) for row in await lines(url, *command, "--count", "3")]
        assert sorted(row["session_id"] for row in rows) == names
        refused = await invoked(url, *command, "--after", rows[0]["id"])
        assert (refused.exit_code, refused.stdout) == (2, "")


async def fail(session: Session, names: list[str], on_dead: Literal["next", "stop"]) -> None:
    """Let a message in each session fail for good."""

    async def fail(message: str) -> None:
        raise RuntimeError("no such thing")

    for name in names:
        await session.submit(name, "hi", agent="echo")
        await session.drain(name, echo(fail), Policy(max_attempts=1, on_dead=on_dead))


async def test_info_shows_one_session(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await session.bind("user-1").add_items([message("secret")])
        (row,) = json.loads("".join(await lines(url, "sessions", "info", "user-1", "-o", "json")))
        assert (row["session_id"], row["items"], row["open_turn"]) == ("user-1", 1, None)
        assert "secret" not in "".join(await lines(url, "sessions", "info", "user-1"))
    result = await invoked(url, "sessions", "info", "nobody")
    assert result.exit_code == 1
    assert "there is no session 'nobody'" in result.output


async def test_queues_are_listed_and_their_content_is_peeked_at(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url, worker="me") as session:
        assert await queues(url, "list") == []
        for session_id in ("one", "two"):
            await session.submit(session_id, "secret\x1b[2K", agent="a", turn_id="t1")
        await session.submit("one", "later", agent="b", turn_id="t2")
        await session.bind("idle").add_items([message("secret")])
        rows = await queues(url, "list")
        assert rows[0]["waiting_for"] >= rows[1]["waiting_for"] >= 0
        one, two = sorted(rows, key=itemgetter("session_id"))
        assert (one["session_id"], one["state"], one["queued"], one["agent"]) == (
            *("one", "queued", 2, "a"),
        )
        assert two["session_id"] == "two"
        assert [row["session_id"] for row in await queues(url, "list", "--match", "t*")] == ["two"]
        assert "secret" not in "".join(await lines(url, "queue", "list"))
        entries = await queues(url, "peek", "one")
        assert [(row["turn_id"], row["kind"], row["agent"], row["input"]) for row in entries] == [
            ("t1", "message", "a", "secret\x1b[2K"),
            ("t2", "message", "b", "later"),
        ]
        (first,) = await queues(url, "peek", "one", "--count", "1")
        assert first["turn_id"] == "t1"
        assert r"secret\x1b[2K" in "".join(await lines(url, "queue", "peek", "one"))
        assert await queues(url, "peek", "nobody") == []


async def queues(url: str, *words: str) -> list[Any]:
    return [json.loads(line) for line in await lines(url, "queue", *words, "-o", "jsonl")]


async def listed(url: str, *words: str) -> list[str]:
    found = await lines(url, *LIST, *words, "-o", "jsonl")
    return [json.loads(line)["session_id"] for line in found]
