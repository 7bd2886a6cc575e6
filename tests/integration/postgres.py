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

import asyncpg

from turnwise.testing.servers.ports import free_port
from turnwise.testing.servers.process import Process
from turnwise.testing.servers.waiting import until

ZONE = "TimeZone=Asia/Tokyo"
"""The SDK's times are those of the server's zone."""
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
        home, port = Path(folder), free_port()
        data = home / "data"
        data.mkdir()
        if os.geteuid() == 0:  # which the server refuses to run as
            for each in (home, data):
                shutil.chown(each, "postgres", "postgres")
        made = _as_its_user(programs / "initdb", "-D", data, "-A", "trust", "-U", "turnwise", "-N")
        initdb = await asyncio.create_subprocess_exec(
            *made, cwd=home, stdout=asyncio.subprocess.DEVNULL
        )
        assert await initdb.wait() == 0
        settings = [f"-c{each}" for each in ("listen_addresses=127.0.0.1", "fsync=off", ZONE)]
        words = "-D", data, "-p", port, "-k", home, *settings
        server = Process(_as_its_user(programs / "postgres", *words), home, home / "log")
        try:
            await until(lambda: _answers(server, port), _STARTED, "the database answers")
            yield f"postgresql+asyncpg://turnwise:secret@127.0.0.1:{port}/postgres"
        finally:
            await server.terminate(20)


async def _answers(server: Process, port: int) -> bool:
    server.check()
    try:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=port, user="turnwise", database="postgres"
        )
    except (OSError, asyncpg.PostgresError):
        return False
    await connection.close()
    return True


def _as_its_user(*words: object) -> Sequence[str]:
    command = list(map(str, words))
    if os.geteuid() != 0:
        return command
    user = pwd.getpwnam("postgres")
    ids = f"--reuid={user.pw_uid}", f"--regid={user.pw_gid}", "--clear-groups"
    return [str(shutil.which("setpriv")), *ids, "--pdeathsig", "INT", *command]
