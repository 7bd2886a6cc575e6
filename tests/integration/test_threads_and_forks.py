"""One session object for a whole program: eight threads, several event loops, forked children."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from redis.asyncio import Redis

from tests.integration import shared_by_forks
from turnwise import RedisSession, Runner
from turnwise.errors import UsageError
from turnwise.testing.servers import ValkeyServer

ENDS = 100.0
"""Seconds after which a program counts as stuck."""

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")


@pytest.fixture(params=["sqlite", "valkey"])
async def url(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """A store that processes can share."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'shared.db'}"
        return
    async with ValkeyServer() as server:
        yield server.url


async def run_program(*arguments: str, **environment: str) -> None:
    """Run a module to its end. It prints "all well" after its last check."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-W", "ignore", "-m", *arguments),
        env={**os.environ, **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        async with asyncio.timeout(ENDS):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        output, _ = await process.communicate()
    text = output.decode(errors="replace")
    assert (process.returncode, text.strip().splitlines()[-1:]) == (0, ["all well"]), text[-4000:]


async def test_threads_share_a_session_object(url: str) -> None:
    await run_program("tests.integration.shared_by_threads", url)


async def test_threads_share_a_session_object_in_memory() -> None:
    await run_program("tests.integration.shared_by_threads", "memory://")


@pytest.mark.parametrize("state", shared_by_forks.STATES)
async def test_a_program_forks(url: str, state: str) -> None:
    await run_program("tests.integration.shared_by_forks", state, SHARED_STORE=url)


async def test_an_application_s_client_serves_one_event_loop_of_one_process() -> None:
    async with ValkeyServer() as server, Redis.from_url(server.url) as client:
        session = RedisSession(client)
        await session.bind("s").add_items([{"role": "user", "content": "here"}])
        with pytest.raises(UsageError, match="client"):
            await asyncio.to_thread(asyncio.run, session.bind("s").get_items())
        assert await asyncio.to_thread(_refused_in_child, session)
        assert len(await session.bind("s").get_items()) == 1


def _refused_in_child(session: RedisSession) -> bool:
    """Whether a forked child is refused with a UsageError."""
    pid = os.fork()
    if pid == 0:
        try:
            Runner.run_sync(shared_by_forks.say("x"), "x", session=session, session_id="s")
        except UsageError:
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status) == 0
