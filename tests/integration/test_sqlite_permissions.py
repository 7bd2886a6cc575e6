"""SQLite files that cannot be written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.fault_lab import (
    message,
    operations,
)
from turnwise import SQLiteSession
from turnwise.errors import (
    StoreRefused,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ_ONLY = """
import asyncio, json, sys
from turnwise import SQLiteSession

async def main():
    results = {}
    for place in ("kept", "new"):
        session = SQLiteSession(f"{sys.argv[1]}/{place}.db")
        bound = session.bind("user-1")

        async def turn():
            async with session.turn("user-1") as turn:
                await turn.add_items([{"role": "user", "content": "two"}])

        item = {"role": "user", "content": "two"}
        operations = {
            "get_items": bound.get_items, "add_items": lambda: bound.add_items([item]),
            "pop_item": bound.pop_item, "clear_session": bound.clear_session, "turn": turn,
            "info": bound.info, "delete": bound.delete, "expire": lambda: bound.expire(seconds=60),
        }
        for name, operation in operations.items():
            try:
                await operation()
                results[f"{place} {name}"] = None
            except Exception as error:
                named = getattr(error, "session_id", None)
                results[f"{place} {name}"] = [type(error).__name__, named, str(error)]
        await session.aclose()
    print(json.dumps(results))

asyncio.run(main())
"""
MOUNT = """
set -e
mount --bind "$1" "$1"
mount -o remount,bind,ro "$1"
exec "$2" -c "$3" "$1"
"""


def in_a_namespace(*command: str) -> subprocess.CompletedProcess[str]:
    unshare = ["unshare", "--map-root-user", "--mount", *command]
    return subprocess.run(unshare, capture_output=True, text=True, check=False, timeout=300)


def may_mount() -> bool:
    try:
        return in_a_namespace("mount", "-t", "tmpfs", "tmpfs", "/tmp").returncode == 0
    except FileNotFoundError:
        return False


async def test_a_file_on_a_read_only_disk(tmp_path: Path) -> None:
    if not may_mount():
        pytest.skip("this user may not mount a disk of its own")
    async with SQLiteSession(tmp_path / "kept.db") as session:
        await session.bind("user-1").add_items([message("one")])
    script = ["sh", "-c", MOUNT, "sh", str(tmp_path), sys.executable, READ_ONLY]
    done = in_a_namespace(*script)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert results["kept get_items"] is results["kept info"] is None
    for name in ("add_items", "pop_item", "clear_session", "turn", "delete", "expire"):
        kind, session_id, text = results[f"kept {name}"]
        assert (kind, session_id) == ("StoreRefused", "user-1")
        assert f"{tmp_path}/kept.db" in text
        assert "read-only" in text
    for name in ("get_items", "add_items", "turn", "info"):
        kind, session_id, text = results[f"new {name}"]
        assert (kind, session_id) == ("StoreRefused", "user-1")
        assert "read-only" in text
    async with SQLiteSession(tmp_path / "kept.db") as session:
        assert await session.bind("user-1").get_items() == [message("one")]


async def test_a_file_where_nobody_may_write(tmp_path: Path) -> None:
    async with SQLiteSession("/proc/sessions.db") as session:
        for operation in operations(session):
            with pytest.raises(StoreRefused, match=r"/proc/sessions.db cannot be opened") as caught:
                await operation()
            assert caught.value.session_id == "user-1"
