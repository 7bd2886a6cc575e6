"""The command line, called as a program would be."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tests.integration.background_lab import echo
from turnwise import connect
from turnwise.background import Policy
from turnwise.cli.app import app


async def invoked(url: str, *words: str) -> Result:
    """What the command does, in a thread: it has an event loop of its own."""
    runner = CliRunner(env={"TURNWISE_URL": url})
    return await asyncio.to_thread(runner.invoke, app, words)


async def lines(url: str, *words: str) -> list[str]:
    result = await invoked(url, *words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


async def test_dead_letters_are_listed_retried_and_deleted(tmp_path: Path) -> None:
    async def fail(message: str) -> None:
        raise RuntimeError("no such thing")

    url = f"sqlite:///{tmp_path / 'sessions.db'}"
    async with connect(url) as session:
        for session_id in ("s1", "s2"):
            await session.submit(session_id, "bad", agent="echo", turn_id="t")
            await session.drain(session_id, [echo(fail)], Policy(max_attempts=1))
        first, second = await lines(url, "dead-letters", "list")
        assert first.split("\t")[2:] == [
            "dead", "s1", "t", "echo", "1", "RuntimeError: no such thing",
        ]  # fmt: skip
        (answer,) = await lines(url, "dead-letters", "retry", first.split("\t")[0])
        assert answer.endswith("its message is queued again")
        await lines(url, "dead-letters", "delete", second.split("\t")[0])
        assert await lines(url, "dead-letters", "list") == []
        assert await session.drain("s1", [echo()]) == 1
        assert (await session.status("s1", "t")).state == "committed"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("dead-letters", "retry", "nothing"), "there is no dead letter"),
        (("worker", "nothing"), "use module:name"),
        (("worker", "no.such.module:agents"), "No module named"),
        (("worker", "tests.items:nothing"), "nothing"),
        (("worker", "tests.integration.test_cli:CliRunner"), "agents must be"),
        (("worker", "tests.items:x", "--on-dead", "no"), "--on-dead"),
    ],
)
async def test_usage_errors_are_reported(
    words: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    result = await invoked(f"sqlite:///{tmp_path / 'sessions.db'}", *words)
    assert result.exit_code != 0
    assert message in result.output + str(result.exception)


async def test_an_invalid_url_is_reported() -> None:
    result = await invoked("nowhere", "dead-letters", "list")
    assert result.exit_code == 1
    assert "turnwise: " in result.output + str(result.exception)
