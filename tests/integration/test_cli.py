"""The command line, called as a program would be."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from turnwise.cli.app import app


async def invoked(url: str, *words: str) -> Result:
    """What the command does, in a thread: it has an event loop of its own."""
    runner = CliRunner(env={"TURNWISE_URL": url})
    return await asyncio.to_thread(runner.invoke, app, words)


async def lines(url: str, *words: str) -> list[str]:
    result = await invoked(url, *words)
    assert result.exit_code == 0, result.output
    return result.output.splitlines()


async def test_version(tmp_path: Path) -> None:
    result = await invoked(f"sqlite:///{tmp_path / 'sessions.db'}", "--version")
    assert (result.exit_code, result.stdout) == (0, f"turnwise {version('turnwise')}\n")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [("turnwise sess", "sessions"), ("turnwise sessions rew", "rewind"), ("turnwise st", "stuck")],
)
async def test_a_shell_completes_verbs(typed: str, completed: str) -> None:
    words = {"COMP_WORDS": typed, "COMP_CWORD": str(len(typed.split()) - 1)}
    asked = {"_TURNWISE_COMPLETE": "complete_bash", **words}
    result = CliRunner(env=asked).invoke(app, prog_name="turnwise")
    assert result.stdout.split() == [completed]


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
