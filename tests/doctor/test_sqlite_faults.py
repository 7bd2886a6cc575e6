"""Faults around a SQLite file."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.doctor.lab import diagnosed, found
from turnwise import connect
from turnwise.doctor import sqlite
from turnwise.stores.sqlite import files
from turnwise.stores.sqlite import probe as module
from turnwise.stores.sqlite.probe import probe

MB = 1 << 20
OF_THE_LIBRARY = {"sqlite-known-bad"}
"""Found wherever Python comes with such a version."""


async def test_a_file_that_is_well_and_one_that_is_not_made_yet(tmp_path: Path) -> None:
    path = tmp_path / "sessions.db"
    url = f"sqlite:///{path}"
    assert await found(url) - OF_THE_LIBRARY == set()
    assert not path.exists()
    async with connect(url) as session:
        await session.ping()
    assert await found(url) - OF_THE_LIBRARY == set()


@pytest.mark.parametrize(
    ("free", "expected"), [(19, "disk-full"), (150, "disk-low"), (500, "disk-low"), (900, "")]
)
async def test_a_disk_without_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, expected: str
) -> None:
    usage = SimpleNamespace(free=free * MB)
    monkeypatch.setattr(module, "shutil", SimpleNamespace(disk_usage=lambda path: usage))
    path = tmp_path / "sessions.db"
    with path.open("wb") as file:  # a hole: it takes no room
        file.truncate(600 * MB)
    faults = [each.name for each in sqlite.check(probe(str(path))) if each.severity != "ok"]
    assert set(faults) - OF_THE_LIBRARY == ({expected} if expected else set())


async def test_a_network_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"22 1 0:1 / / rw - ext4 a rw\n23 22 0:2 / {tmp_path} rw - nfs4 b rw\n")
    monkeypatch.setattr(files, "MOUNTS", mounts)
    report = await diagnosed(f"sqlite:///{tmp_path}/sessions.db")
    assert {each.name for each in report.faults} - OF_THE_LIBRARY == {"network-file-system"}
    assert report.exit_code == 2


async def test_a_library_that_may_damage_files(tmp_path: Path) -> None:
    seen = probe(str(tmp_path / "sessions.db"))
    for is_safe, expected in ((False, OF_THE_LIBRARY), (True, set())):
        faults = sqlite.check(replace(seen, wal_is_safe=is_safe))
        assert {each.name for each in faults if each.severity != "ok"} == expected


async def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    report = await diagnosed(f"sqlite:///{tmp_path}/no/sessions.db")
    (fault,) = [each for each in report.faults if each.name not in OF_THE_LIBRARY]
    assert fault.name == "refused"
    assert "make it first" in fault.what
