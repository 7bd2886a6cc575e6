"""`turnwise letters` as an operator calls it: processes, on a real server."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tests.integration.background_fleet import Fleet
from tests.integration.background_lab import echo
from tests.integration.programs import STARTED, programs
from turnwise import connect
from turnwise.background import Policy
from turnwise.session import Session
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until


async def told(fleet: Fleet, *words: str) -> list[str]:
    """The lines that the command prints."""
    process = fleet.command("letters", *words)

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
    await session.drain("halt", [echo(fail)], Policy(max_attempts=1, on_dead="stop"))


async def test_letters_are_listed_retried_and_dropped(tmp_path: Path) -> None:
    server = ValkeyServer()
    async with server, programs(tmp_path) as started, connect(server.url) as session:
        fleet = Fleet(server.url, tmp_path, started)
        await fill(session)
        listed, (stopped,) = await asyncio.gather(
            told(fleet, "list"), told(fleet, "list", "--stopped")
        )
        lines = [line.split("\t") for line in listed]
        assert [line[2:] for line in lines] == [
            ["dead", f"s{n}", "t", "echo", "1", "RuntimeError: no such thing"] for n in range(4)
        ]
        assert stopped.split("\t")[0] == "stopped:halt"
        _, _, old, mistake = await asyncio.gather(
            told(fleet, "retry", lines[0][0]),
            told(fleet, "drop", lines[1][0], "stopped:halt"),
            told(fleet, "drop", "--older-than", "1"),
            told(fleet, "drop"),
        )
        assert (old, "give ids" in "".join(mistake)) == ([], True)
        states = [(await session.status(name, "t")).state for name in ("s0", "s1", "halt")]
        assert states == ["queued", "dead", "dead"]
        assert len(await told(fleet, "drop", "--all")) == 2
        assert await told(fleet, "list") == []
