"""Ctrl-C while a turn runs: pressed twice, it frees the turn as it does pressed once."""

from __future__ import annotations

import os
import signal

import pytest

from tests.integration.programs import STARTED, Programs, ready
from turnwise import Session, connect
from turnwise.testing.proxy import FaultProxy
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def until_printed(process: Process, word: str) -> None:
    async def is_printed() -> bool:
        return word in process.log()

    await ready(process, is_printed, f"the program printed {word!r}")


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("how", ["run_sync", "run", "stream", "block"])
async def test_ctrl_c_frees_the_turn(
    server: ValkeyServer, started: Programs, how: str, times: int
) -> None:
    """The second one comes while the server does not answer, and the turn is not free yet."""
    async with FaultProxy.before(server.url) as proxy, connect(server.url) as session:
        process = await waiting_program(started, how, proxy.url, session.bind(f"{how}-{times}"))
        proxy.refuse()
        await proxy.drop_connections()
        os.kill(process.pid, signal.SIGINT)
        await until_printed(process, "cancelled")
        if times == 2:
            os.kill(process.pid, signal.SIGINT)
        await proxy.accept()
        await until_ended(process)
        assert await session.info(f"{how}-{times}") is None


async def test_a_second_ctrl_c_frees_a_turn_that_went_on_after_the_first(
    server: ValkeyServer, started: Programs
) -> None:
    async with connect(server.url) as session:
        process = await waiting_program(started, "unread", server.url, session.bind("unread"))
        os.kill(process.pid, signal.SIGINT)
        await until_printed(process, "left")
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


async def until_ended(process: Process) -> None:
    async def has_ended() -> bool:
        return not process.alive

    await until(has_ended, STARTED, "the program ended")
    assert "KeyboardInterrupt" in process.log()
