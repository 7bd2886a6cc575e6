"""Files that are not ours, cannot be used, or are in use: each has its own error."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import msgspec
import pytest
import pytest_asyncio

from tests.integration import sqlite_processes
from turnwise.errors import (
    NewerFormat,
    NotASession,
    StoreRefused,
    StoreUnavailable,
    UsageError,
)
from turnwise.stores.sqlite import SQLiteStore, database, files
from turnwise.stores.sqlite.database import APPLICATION, wal_is_safe
from turnwise.types import Done, History

NEWER = {"format": 2, "shape": ["another"]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "sessions.db"


@pytest_asyncio.fixture
async def store(path: Path) -> AsyncIterator[SQLiteStore]:
    store = SQLiteStore(path, busy_timeout=0.05)
    yield store
    await store.aclose()


@contextmanager
def opened(path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


async def ping(path: Path) -> None:
    store = SQLiteStore(path)
    try:
        await store.ping()
    finally:
        await store.aclose()


async def works(store: SQLiteStore, op_id: str = "works") -> bool:
    return isinstance(await store.append("s", op_id, [b"{"]), Done)


@pytest.mark.parametrize(
    "statement",
    ["CREATE TABLE users (name TEXT)", "PRAGMA application_id = 7", "PRAGMA user_version = 3"],
)
async def test_the_file_of_another_application(
    path: Path, store: SQLiteStore, statement: str
) -> None:
    with opened(path) as foreign:
        foreign.execute(statement)
        foreign.execute("CREATE TABLE more (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(NotASession, match="another application's database") as caught:
        await store.append("s", "op", [b"{"])
    assert str(path) in str(caught.value)
    assert path.read_bytes() == before
    path.unlink()
    assert await works(store)


async def test_a_file_that_is_no_database(path: Path, store: SQLiteStore) -> None:
    path.write_bytes(b"Dear diary, " * 1000)
    with pytest.raises(NotASession, match=r"not a SQLite database.*another path"):
        await store.append("s", "op", [b"{"])
    assert path.read_bytes() == b"Dear diary, " * 1000


async def test_an_empty_file_is_a_new_one(path: Path, store: SQLiteStore) -> None:
    path.touch()
    assert await works(store)
    with opened(path) as ours:
        assert ours.execute("PRAGMA application_id").fetchone() == (APPLICATION,)


async def test_a_file_with_a_newer_schema(path: Path, store: SQLiteStore) -> None:
    assert await works(store)
    await store.aclose()
    with opened(path) as newer:
        newer.execute("PRAGMA user_version = 99")
    with pytest.raises(NewerFormat, match=r"schema 99.*Upgrade this worker"):
        await store.read("s")


@pytest.mark.parametrize("header", [NEWER, NEWER | {"incarnation": "i", "commit_id": "c"}])
async def test_a_session_in_a_newer_format(
    path: Path, store: SQLiteStore, header: dict[str, object]
) -> None:
    assert await works(store)
    raw = msgspec.json.encode(header)
    with opened(path) as newer:
        newer.execute("UPDATE sessions SET header = ?", (raw,))
    for call in (store.read("s"), store.append("s", "op2", [b"{"]), store.info("s")):
        with pytest.raises(NewerFormat, match=r"'s'.*format 2.*Upgrade this worker"):
            await call
    with opened(path) as newer:
        assert newer.execute("SELECT header FROM sessions").fetchone() == (raw,)
    assert isinstance(await store.append("another", "op", [b"{"]), Done)


async def test_a_header_that_nobody_can_read(path: Path, store: SQLiteStore) -> None:
    assert await works(store)
    with opened(path) as damaged:
        damaged.execute("UPDATE sessions SET header = x'00'")
    with pytest.raises(NotASession, match=r"'s'.*header cannot be read"):
        await store.append("s", "op2", [b"{"])


async def test_a_damaged_file(path: Path, store: SQLiteStore) -> None:
    assert isinstance(await store.append("s", "op", [b"{" + b"x" * 500] * 200), Done)
    await store.aclose()
    content = path.read_bytes()
    path.write_bytes(content[:4096] + b"\xff" * (len(content) - 4096))
    with pytest.raises(StoreRefused, match=r"damaged.*restore") as caught:
        await store.read("s")
    assert str(path) in str(caught.value)
    path.write_bytes(content)
    assert isinstance(await store.read("s"), History)


async def test_a_missing_directory(tmp_path: Path) -> None:
    store = SQLiteStore(tmp_path / "no" / "sessions.db")
    with pytest.raises(StoreRefused, match=r"no/sessions.db.*no does not exist: make it first"):
        await store.ping()
    (tmp_path / "no").mkdir()
    assert await works(store)
    await store.aclose()


async def test_a_directory_and_a_file_as_a_directory(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="it is a directory: name a file in it"):
        await ping(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(StoreRefused, match="file is not a directory: choose another path"):
        await ping(tmp_path / "file" / "sessions.db")


@pytest.mark.parametrize("text", ["", ":memory:", "a\0b"])
def test_what_names_no_file(text: str) -> None:
    with pytest.raises(UsageError):
        SQLiteStore(text)


async def test_a_relative_path_stays_where_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("file:odd?name.db")
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert await works(store)
    await store.aclose()
    assert (tmp_path / "file:odd?name.db").exists()
    assert list((tmp_path / "elsewhere").iterdir()) == []


def rights_of_nobody(path: Path) -> list[str]:
    """What reading and appending gives a user without rights of its own."""
    said: list[str] = sqlite_processes.told_by(sqlite_processes.use_as_nobody, path)
    return said


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that everybody can enter, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


async def test_a_read_only_file_is_read_but_not_written(open_directory: Path) -> None:
    path = open_directory / "sessions.db"
    store = SQLiteStore(path)
    assert await works(store)
    await store.aclose()
    path.chmod(0o444)
    read, appended = rights_of_nobody(path)
    assert read == "History"
    assert appended.startswith("StoreRefused: ")
    assert f"{path}: it is read-only: check the mode" in appended


async def test_a_directory_that_cannot_be_written(open_directory: Path) -> None:
    path = open_directory / "sessions.db"
    if os.geteuid() != 0:
        open_directory.chmod(0o555)
    for said in rights_of_nobody(path):
        assert said.startswith("StoreRefused: ")
        assert f"{path} cannot be opened: check that this user may" in said


async def test_a_directory_that_cannot_be_entered(open_directory: Path) -> None:
    path = open_directory / "closed" / "sessions.db"
    path.parent.mkdir()
    path.parent.chmod(0o000)
    for said in rights_of_nobody(path):
        assert said.startswith("StoreRefused: ")
        assert f"{path} cannot be opened" in said
    path.parent.chmod(0o755)


async def test_a_full_disk(store: SQLiteStore) -> None:
    assert await works(store)

    def allow(pages: int) -> None:
        connection.execute(f"PRAGMA max_page_count = {pages}")

    connection = await store._connections.run(lambda d: d)
    await store._connections.run(lambda _: allow(20))
    with pytest.raises(StoreRefused, match="the disk is full: make room"):
        await store.append("s", "large", [b"{" + b"x" * 200_000])
    await store._connections.run(lambda _: allow(1_000_000))
    history = await store.read("s")
    assert isinstance(history, History)
    assert history.items == 1
    assert isinstance(await store.append("s", "large", [b"{" + b"x" * 200_000]), Done)


async def test_a_file_locked_for_too_long(path: Path, store: SQLiteStore) -> None:
    assert await works(store)
    with opened(path) as other:
        other.execute("BEGIN EXCLUSIVE")
        for call in (store.append("s", "op2", [b"{"]), store.read("s")):
            with pytest.raises(StoreUnavailable, match=r"locked.*can be sent again"):
                await call
        other.execute("ROLLBACK")
    assert await works(store, "op2")


async def test_a_reader_that_holds_up_the_commit(path: Path, store: SQLiteStore) -> None:
    assert await works(store)
    with opened(path) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM sessions").fetchone()
        if other.execute("PRAGMA journal_mode").fetchone() != ("wal",):
            with pytest.raises(StoreUnavailable, match="nothing was written"):
                await store.append("s", "op2", [b"{"])
        other.execute("ROLLBACK")
    assert await works(store, "op2")
    history = await store.read("s")
    assert isinstance(history, History)
    assert history.items == 2


async def test_a_removed_file_is_made_again(path: Path, store: SQLiteStore) -> None:
    assert await works(store)
    path.unlink()
    with pytest.raises(StoreUnavailable, match="can be sent again"):
        await store.append("s", "op2", [b"{"])
    assert await works(store, "op2")
    assert path.exists()


MOUNTS = """\
22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw
30 22 0:40 / /srv rw,relatime shared:1 - nfs4 server:/srv rw,vers=4.2
31 30 0:41 / /srv/local rw - xfs /dev/vdb rw
32 22 0:42 / /mnt/with\\040space rw - fuse.sshfs user@host:/ rw
33 22 0:43 / /mnt/cache rw - fuse.bindfs none rw
"""


@pytest.mark.parametrize(
    ("directory", "kind"),
    [
        ("/", "ext4"),
        ("/home/me", "ext4"),
        ("/srv", "nfs4"),
        ("/srv/data", "nfs4"),
        ("/srvdata", "ext4"),
        ("/srv/local/data", "xfs"),
        ("/mnt/with space/x", "fuse.sshfs"),
    ],
)
def test_the_kind_of_file_system(directory: str, kind: str) -> None:
    assert files.file_system(directory, MOUNTS) == kind


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "cifs", "fuse.sshfs", "ceph"])
async def test_a_network_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:1 / / rw - ext4 a rw\n23 22 0:2 / {tmp_path} rw - {kind} b rw\n")
    monkeypatch.setattr(files, "MOUNTS", mounts)
    with pytest.raises(StoreRefused, match=f"network file system.*{kind}.*or Redis"):
        await ping(tmp_path / "sessions.db")
    mounts.write_text(f"22 1 0:1 / / rw - ext4 a rw\n23 22 0:2 / {tmp_path} rw - fuse.x b rw\n")
    store = SQLiteStore(tmp_path / "sessions.db")
    assert await works(store)
    await store.aclose()


@pytest.mark.parametrize(
    ("version", "safe"),
    [
        ((3, 40, 1), False),
        ((3, 44, 5), False),
        ((3, 44, 6), True),
        ((3, 45, 0), False),
        ((3, 50, 6), False),
        ((3, 50, 7), True),
        ((3, 51, 2), False),
        ((3, 51, 3), True),
        ((3, 53, 0), True),
    ],
)
def test_versions_that_may_use_wal(version: tuple[int, ...], safe: bool) -> None:
    assert wal_is_safe(version) is safe


async def journal_mode(store: SQLiteStore) -> str:
    def ask(connection: sqlite3.Connection) -> str:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])

    return await store._connections.run(ask)


async def test_the_journal_mode_follows_the_version(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "wal_is_safe", lambda _: True)
    newer = SQLiteStore(path)
    assert await works(newer)
    assert await journal_mode(newer) == "wal"
    monkeypatch.setattr(database, "wal_is_safe", lambda _: False)
    older = SQLiteStore(path, busy_timeout=0.05)
    with pytest.raises(StoreRefused, match=r"in WAL mode.*Give all workers"):
        await older.ping()
    await newer.aclose()
    assert await works(older, "second")
    assert await journal_mode(older) == "truncate"
    monkeypatch.setattr(database, "wal_is_safe", lambda _: True)
    assert await works(newer, "third")  # an older one may still be using the file
    assert await journal_mode(newer) == "truncate"
    await older.aclose()
    await newer.aclose()


async def test_every_commit_reaches_the_disk(store: SQLiteStore) -> None:
    assert await works(store)
    full = await store._connections.run(lambda d: d.execute("PRAGMA synchronous").fetchone())
    assert full == (2,)
