"""`turnwise dead-letters` as an operator runs it, on a real server; first as a process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.integration.background_lab import echo
from tests.integration.programs import STARTED, programs
from tests.integration.test_cli import invoked, lines
from turnwise import connect
from turnwise.background import Policy
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until


async def by_process(url: str, folder: Path, *words: str) -> list[str]:
    """The lines that the command prints as a process of its own, which takes seconds to start."""
    async with programs(folder) as started:
        command = ("-m", "turnwise.cli", "dead-letters", *words)
        process = started.python(*command, environment={"TURNWISE_URL": url})

        async def ended() -> bool:
            return not process.alive

        await until(ended, STARTED, "the end of the command")
        return process.log().splitlines()


async def fail(message: str) -> None:
    raise RuntimeError("no such thing")


async def fill(session: Session) -> None:
    """Four dead letters, and a session that was stopped at a fifth message."""
    for n in range(4):
        await session.submit(f"s{n}", "bad", agent="echo", turn_id="t")
        await session.drain(f"s{n}", [echo(fail)], Policy(max_attempts=1))
    await session.submit("halt", "bad", agent="echo", turn_id="t")
    await session.drain("halt", [echo(fail)], Policy(max_attempts=1, on_dead="stop", backoff=0.01))


async def rows(url: str, *words: str) -> list[Any]:
    """What `list` finds."""
    found = await lines(url, "dead-letters", "list", *words, "-o", "jsonl")
    return [json.loads(line) for line in found]


async def test_dead_letters_are_listed_retried_and_deleted(tmp_path: Path) -> None:
    async with ValkeyServer() as server, connect(server.url) as session:
        url = server.url
        await fill(session)
        listed = await by_process(url, tmp_path, "list", "-o", "jsonl")
        found = [json.loads(line) for line in listed]
        assert [
            {name: row[name] for name in row if name not in ("id", "failed_at")} for row in found
        ] == [
            {
                "session_id": f"s{n}",
                "turn_id": "t",
                "state": "dead",
                "agent": "echo",
                "attempts": 1,
                "error": "RuntimeError: no such thing",
            }
            for n in range(4)
        ]
        assert await lines(url, "dead-letters", "list", "-o", "jsonl") == listed
        (stopped,) = await rows(url, "--state", "stopped")
        assert stopped["id"] == "stopped:halt"
        await lines(url, "dead-letters", "retry", found[0]["id"])
        await lines(url, "dead-letters", "delete", "--yes", found[1]["id"], "stopped:halt")
        states = [(await session.status(name, "t")).state for name in ("s0", "s1", "halt")]
        assert states == ["queued", "dead", "dead"]
        assert len(await lines(url, "dead-letters", "delete", "--yes", "--match", "*")) == 2
        assert await rows(url) == []


async def test_filters_choose_and_pages_follow_each_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await fill(session)
        await session.submit("x", "bad", agent="other", turn_id="t")
        await session.drain("x", [echo(fail, name="other")], Policy(max_attempts=1))
        assert [row["session_id"] for row in await rows(url, "--match", "s[12]")] == ["s1", "s2"]
        assert [row["session_id"] for row in await rows(url, "--agent", "other")] == ["x"]
        assert await rows(url, "--min-age", "3600") == []
        assert await rows(url, "--state", "queued") == []
        first = await invoked(url, "dead-letters", "list", "--count", "3", "-o", "jsonl")
        following = first.stderr.split()[-1]
        assert [row["session_id"] for row in await rows(url, "--after", following)] == ["s3", "x"]


async def test_one_is_shown_with_its_content_and_lists_show_none(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        options: Any = {"agent": "echo", "metadata": {"user": 7}}
        await session.submit("s", "sec\x1b[31mret", turn_id="t", **options)
        await session.drain("s", [echo(fail)], Policy(max_attempts=1))
        assert "sec" not in "".join(await lines(url, "dead-letters", "list"))
        (row,) = await rows(url)
        assert "input" not in row
        (shown,) = await lines(url, "dead-letters", "show", row["id"], "-o", "jsonl")
        assert json.loads(shown) == {
            **row, "input": "sec\x1b[31mret", "metadata": {"user": 7},
        }  # fmt: skip
        assert r"sec\x1b[31mret" in "".join(await lines(url, "dead-letters", "show", row["id"]))
        unknown = await invoked(url, "dead-letters", "show", "nothing")
        assert unknown.exit_code == 1


async def test_what_filters_find_is_changed_after_a_yes(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        await fill(session)
        before = await rows(url)
        for verb, done in (("retry", "retried"), ("delete", "deleted")):
            for words in ((), ("--match", "*", before[0]["id"])):
                mistake = await invoked(url, "dead-letters", verb, *words)
                assert mistake.exit_code == 2
                assert "give ids, or filters" in mistake.output
            refused = await invoked(url, "dead-letters", verb, "--match", "*")
            assert refused.exit_code == 1
            assert "4 dead letters?" in refused.stderr
            dry = await lines(url, "dead-letters", verb, "--match", "s1", "--dry-run")
            assert dry == [f"would be {done}: {before[1]['id']}"]
        assert await rows(url) == before
        result = await invoked(
            url, "dead-letters", "delete", "--yes", before[0]["id"], "nothing", "-o", "json"
        )
        assert result.exit_code == 1
        assert [row["outcome"] for row in json.loads(result.stdout)] == ["deleted", "failed"]
        told = await lines(url, "dead-letters", "retry", "--yes", "--match", "s[12]")
        assert told == [f"retried: {before[n]['id']}" for n in (1, 2)]
        assert (await session.status("s1", "t")).state == "queued"
        assert [row["session_id"] for row in await rows(url)] == ["s3"]
