"""Ctrl-C while a turn runs: pressed twice, it frees the turn as it does pressed once."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from tests.integration.programs import STARTED, Programs, ready
from turnwise import Session, connect
from turnwise.testing.proxy import FaultProxy
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HOW = ["run_sync", "run", "stream", "block"]
LINES = 100
"""So many lines at the least does the program interrupt."""


async def until_printed(process: Process, word: str) -> None:
    async def is_printed() -> bool:
        return word in process.log()

    await ready(process, is_printed, f"the program printed {word!r}")


@pytest.mark.parametrize("how", HOW)
async def test_ctrl_c_frees_the_turn(server: ValkeyServer, started: Programs, how: str) -> None:
    """It comes while the server refuses connections."""
    async with FaultProxy.before(server.url) as proxy, connect(server.url) as session:
        process = await waiting_program(started, how, proxy.url, session.bind(how))
        proxy.refuse()
        await proxy.drop_connections()
        await until_asleep(process)
        os.kill(process.pid, signal.SIGINT)
        await until_printed(process, "cancelled")
        await proxy.accept()
        await until_ended(process)
        assert await session.info(how) is None


@pytest.mark.parametrize("how", HOW)
async def test_a_second_ctrl_c_frees_it_too(
    server: ValkeyServer, started: Programs, how: str
) -> None:
    """The second one comes while the server does not answer, and the turn is not free yet.

    The process sleeps then: elsewhere asyncio itself may lose a callback, and wait for ever.
    """
    async with FaultProxy.before(server.url) as proxy, connect(server.url) as session:
        process = await waiting_program(started, how, proxy.url, session.bind(f"{how}-twice"))
        proxy.pause()
        await until_asleep(process)
        os.kill(process.pid, signal.SIGINT)
        await until_printed(process, "cancelled")
        await until_asleep(process)
        os.kill(process.pid, signal.SIGINT)
        proxy.resume()
        await until_ended(process)
        assert await session.info(f"{how}-twice") is None


@pytest.mark.parametrize("what", ["KeyboardInterrupt()", "SystemExit(0)"])
@pytest.mark.parametrize("how", ["run", "stream", "block"])
async def test_a_second_ctrl_c_frees_it_wherever_it_strikes(
    server: ValkeyServer, started: Programs, tmp_path: Path, how: str, what: str
) -> None:
    """Or another signal whose handler calls sys.exit()."""
    report = tmp_path / "report"
    module = "tests.integration.interrupted_lines"
    process = started.python("-m", module, how, what, server.url, str(report))

    async def is_written() -> bool:
        return report.exists()

    await ready(process, is_written, "the program interrupted its children")
    interrupted = [json.loads(line) for line in report.read_text().splitlines()]
    assert len(interrupted) >= LINES
    packages = {place["module"].partition(".")[0] for place in interrupted}
    assert packages == {"turnwise", "agents", "redis"}
    assert [place for place in interrupted if place["end"] != what] == []
    async with connect(server.url) as session:
        for place in interrupted:
            info = await session.info(place["session"])
            assert info is None or info.open_turn is None, place


async def test_a_second_ctrl_c_frees_a_turn_that_went_on_after_the_first(
    server: ValkeyServer, started: Programs
) -> None:
    async with connect(server.url) as session:
        process = await waiting_program(started, "unread", server.url, session.bind("unread"))
        os.kill(process.pid, signal.SIGINT)
        await until_printed(process, "left")
        await until_asleep(process)
        os.kill(process.pid, signal.SIGINT)
        await until_ended(process)
        assert await session.info("unread") is None


async def waiting_program(started: Programs, how: str, url: str, session: Session) -> Process:
    """The program, in mid-turn."""
    module = "tests.integration.interrupted_program"
    process = started.python("-m", module, how, url, session.session_id)
    await until_printed(process, "begun")
    info = await session.info()
    assert info is not None
    assert info.open_turn is not None
    return process


async def until_asleep(process: Process) -> None:
    """Until it waits, for an answer or for a while. (Where there is no /proc: at once.)

    In two looks one after the other, since it also sleeps while it writes.
    """
    status, looks = Path(f"/proc/{process.pid}/stat"), list[bool]()

    async def is_asleep() -> bool:
        state = status.read_text().rpartition(")")[2].split()[0] if status.exists() else "S"
        looks.append(state == "S")
        return looks[-2:] == [True, True]

    await ready(process, is_asleep, "the program waited")


async def until_ended(process: Process) -> None:
    async def has_ended() -> bool:
        return not process.alive

    await until(has_ended, STARTED, "the program ended")
    assert "KeyboardInterrupt" in process.log()
