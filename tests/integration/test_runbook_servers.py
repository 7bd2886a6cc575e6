"""Bad nights of docs/runbook.md: `turnwise doctor` finds each; what it prints ends it."""

from __future__ import annotations

import asyncio
import errno
import shlex
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.conformance.labs import PREFIX
from tests.conformance.test_acl import PASSWORD, rule
from tests.integration.forked import Forks, forks
from tests.integration.night_lab import Night, are_alive, running, said
from turnwise import StoreRefused, connect
from turnwise.stores.redis import DEFAULT_PREFIX
from turnwise.testing.servers import ValkeyServer
from turnwise.testing.servers.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def processes(tmp_path: Path) -> AsyncIterator[Forks]:
    async with forks(tmp_path) as started:
        yield started


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A small one, to be filled."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(path)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"a small disk can be mounted by root only: {done.stderr.strip()}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


async def typed(server: ValkeyServer, text: str) -> None:
    """Somebody types this command of redis-cli until it is not refused."""
    program, *words = shlex.split(text)
    assert program == "redis-cli"

    async def is_done() -> bool:
        return bool(await server.command(*words))

    await until(is_done, 60, f"{text} was not refused")


async def in_its_file(server: ValkeyServer) -> None:
    """The append-only file has all that was acknowledged: a busy disk delays even its writing."""

    async def has_all() -> bool:
        info = await server.info("persistence")
        behind = "aof_rewrite_in_progress", "aof_rewrite_scheduled", "aof_buffer_length"
        return info["aof_enabled"] == "1" and all(info[field] == "0" for field in behind)

    await until(has_all, 60, "its append-only file was complete")


async def test_redis_is_restarted(processes: Forks, tmp_path: Path) -> None:
    async with ValkeyServer() as server, connect(server.url) as session:
        night = Night(server.url, tmp_path, processes)
        worker = night.worker("old")
        await session.submit("s", "hello", agent="echo", turn_id="t")
        assert await said(session, "s", "t") == "re: hello"

        fault = await night.fault("not-persistent")
        command, _, _ = fault["fix"].partition(", and the same line in its file")
        await typed(server, command)
        await server.command("CONFIG", "REWRITE")
        await night.no_fault("not-persistent")
        await session.submit("s", "wait for redis", agent="echo", turn_id="t2")
        await running(session, "s", "t2", [worker])
        await in_its_file(server)
        await server.kill()
        down = await night.fault("unreachable")
        (command,) = (part for part in down["fix"].split("; ") if "turnwise" in part)
        back = asyncio.create_task(night.obeyed(command.rpartition(": ")[2]))
        await server.restart()
        assert "unreachable" not in await back
        night.put("redis")
        assert await said(session, "s", "t2") == "re: wait for redis"
        assert len(await session.bind("s").get_items()) == 4
        worker.check()


async def test_a_disk_is_full(processes: Forks, tmp_path: Path, disk: Path) -> None:
    server = ValkeyServer(appendonly="everysec", directory=disk / "data")
    async with server, connect(server.url) as session:
        night = Night(server.url, tmp_path, processes)
        worker = night.worker("old")
        await are_alive(session, worker)  # it writes all the time
        filler = disk / "filler"
        fill(filler)
        fault = await night.fault("write-failed")
        assert fault["severity"] == "critical"
        with pytest.raises(StoreRefused, match="s"):
            await session.submit("s", "hello", agent="echo", turn_id="t")
        told, _, command = fault["fix"].partition("; then ")
        assert told.startswith("make room on its disk")
        filler.unlink()
        await typed(server, command)
        await night.no_fault("write-failed")
        await session.submit("s", "hello", agent="echo", turn_id="t")
        assert await said(session, "s", "t") == "re: hello"
        worker.check()


def fill(path: Path) -> None:
    """Until not a byte is left on its disk."""
    size = 1 << 20
    with path.open("wb", buffering=0) as file:
        while size:
            try:
                file.write(bytes(size))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                size //= 2


async def test_the_user_has_too_few_rights(processes: Forks, tmp_path: Path) -> None:
    async with ValkeyServer() as server, connect(server.url) as session:
        name, *rights = (word.replace(PREFIX, DEFAULT_PREFIX) for word in rule())
        await server.command("ACL", "SETUSER", name, *rights)
        url = server.url_for(name, PASSWORD)
        night = Night(url, tmp_path, processes)
        worker = night.worker("old")
        await session.submit("s", "hello", agent="echo", turn_id="t")
        assert await said(session, "s", "t") == "re: hello"

        await server.command("ACL", "SETUSER", name, "-lset")
        await session.submit("s", "hello", agent="echo", turn_id="t2")
        fault = await night.fault("rights-missing")
        assert "lset" in fault["what"]
        assert (await session.status("s", "t2")).state != "committed"
        await typed(server, fault["fix"])
        await night.no_fault("rights-missing")
        assert await said(session, "s", "t2") == "re: hello"
        worker.check()
