"""`turnwise dead-letters` as an operator runs it, on a real server; first as a process."""

from __future__ import annotations

from pathlib import Path

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


async def test_dead_letters_are_listed_retried_and_deleted(tmp_path: Path) -> None:
    async with ValkeyServer() as server, connect(server.url) as session:
        url = server.url
        await fill(session)
        listed = await by_process(url, tmp_path, "list")
        rows = [line.split("\t") for line in listed]
        assert [line[2:] for line in rows] == [
            ["dead", f"s{n}", "t", "echo", "1", "RuntimeError: no such thing"] for n in range(4)
        ]
        assert await lines(url, "dead-letters", "list") == listed
        (stopped,) = await lines(url, "dead-letters", "list", "--stopped")
        assert stopped.split("\t")[0] == "stopped:halt"
        await lines(url, "dead-letters", "retry", rows[0][0])
        await lines(url, "dead-letters", "delete", rows[1][0], "stopped:halt")
        assert await lines(url, "dead-letters", "delete", "--older-than", "1") == []
        mistake = await invoked(url, "dead-letters", "delete")
        assert mistake.exit_code != 0
        assert "give ids" in mistake.output
        states = [(await session.status(name, "t")).state for name in ("s0", "s1", "halt")]
        assert states == ["queued", "dead", "dead"]
        assert len(await lines(url, "dead-letters", "delete", "--all")) == 2
        assert await lines(url, "dead-letters", "list") == []
