"""A PostgreSQL server that a test starts, where its programs are installed."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

_SETTINGS = ("listen_addresses=127.0.0.1", "fsync=off", "TimeZone=Asia/Tokyo")
"""The SDK's times are those of the server's zone, which is not UTC here."""
_USER = "nobody"
"""Who it runs as where the tests run as root, which it refuses."""
_STARTED = 60.0


def postgres_programs() -> Path | None:
    """The folder that has `initdb` and `postgres`; None if there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).parent if named else None


@asynccontextmanager
async def postgres(programs: Path) -> AsyncIterator[str]:
    """Run a server during the block: a URL of SQLAlchemy's for its database."""
    with tempfile.TemporaryDirectory() as folder:
        home, port = Path(folder), str(free_port())
        data = home / "data"
        data.mkdir()
        if os.geteuid() == 0:
            for each in (home, data):
                shutil.chown(each, _USER)
        made = programs / "initdb", "-D", data, "-A", "trust", "-U", "turnwise", "-N"
        assert await _run(home, *made) == 0
        settings = [f"-c{each}" for each in _SETTINGS]
        words = programs / "postgres", "-D", data, "-p", port, "-k", home, *settings
        server = Process(_as_its_user(words), home, home / "log")

        async def answers() -> bool:
            server.check()
            asked = programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", port
            return await _run(home, *asked) == 0

        try:
            await until(answers, _STARTED, "the database answers")
            yield f"postgresql+asyncpg://turnwise:secret@127.0.0.1:{port}/postgres"
        finally:
            await server.terminate(20)


async def _run(folder: Path, *words: object) -> int:
    command, nothing = _as_its_user(words), asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*command, cwd=folder, stdout=nothing)
    return await process.wait()


def _as_its_user(words: Sequence[object]) -> list[str]:
    command = list(map(str, words))
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam(_USER)
    ids = f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"
    return [str(shutil.which("setpriv")), *ids, "--pdeathsig", "INT", *command]
