"""A store with one of each thing that an operator may look at, or act on."""

from __future__ import annotations

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
from agents import SQLiteSession as SDKSession

from tests.integration.approval_lab import Clerk, waiting
from tests.integration.background_lab import echo
from tests.integration.fault_lab import message
from turnwise import connect
from turnwise.background import Policy
from turnwise.fleet.api_keys import ApiKeys
from turnwise.fleet.workers import WorkerRecord
from turnwise.session import Session

WORKER = "w1"


@dataclass(frozen=True)
class Scene:
    """The store, a file of SQLite, and the names of what is in it.

    Session "s" has the turns "t1" and "t2". "waits" has a message in its queue, and "held" one that
    a worker has as turn "h1". "asks" waits for an approval. Messages for "paused" are paused. The
    server has a key.
    """

    folder: Path
    letter: str = ""
    approval: str = ""
    key: str = ""

    @property
    def file(self) -> Path:
        return self.folder / "sessions.db"

    @property
    def url(self) -> str:
        return f"sqlite:///{self.file}"

    @property
    def exported(self) -> Path:
        """An export of session "s", as session "other"."""
        return self.folder / "export.jsonl"

    @property
    def sdk(self) -> Path:
        """A database of the SDK's own sessions, with session "old"."""
        return self.folder / "sdk.db"

    def copied_to(self, folder: Path) -> Scene:
        """The same elsewhere, for a test that changes it."""
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return replace(self, folder=folder)

    def content(self) -> list[object]:
        """All that is stored: in the database, and in the folders of records beside it."""
        with closing(sqlite3.connect(self.file)) as database:
            dumped = list(database.iterdump())
        records = sorted(self.folder.glob(f"{self.file.name}-*/*"))
        return [*dumped, *((path.name, path.read_bytes()) for path in records)]


async def make_scene(folder: Path) -> Scene:
    scene = Scene(folder)
    async with connect(scene.url) as session:
        for turn_id in ("t1", "t2"):
            async with session.turn("s", turn_id=turn_id) as turn:
                await turn.add_items([message(turn_id)])
        await session.submit("waits", "hi", agent="echo", turn_id="q1")
        await session.submit("held", "hi", agent="echo", turn_id="h1")
        await session.runtime.store.next("held", "token", 600_000, worker=WORKER)
        await waiting(session.bind("asks"), Clerk(), "pay", turn_id="p1")
        (approval,) = await session.pending_approvals("asks")
        record = WorkerRecord("host", 7, "1.0", 0.0, ["echo"], 50, 1, turns=[("held", "h1")])
        await session.runtime.store.workers.write(WORKER, msgspec.json.encode(record))
        await session.pause_queue("paused")
        _, key = await ApiKeys(session.runtime).create("anna")
        letter = await _dead_letter(session)
        lines = [json.dumps(line) async for line in session.export(["s"])]
        scene.exported.write_text("\n".join(lines).replace('"s"', '"other"'))
    old = SDKSession("old", scene.sdk)
    await old.add_items([message("hi")])
    old.close()
    return Scene(folder, letter, approval.id, key.id)


async def _dead_letter(session: Session) -> str:
    async def fail(_: str) -> None:
        raise RuntimeError("no such thing")

    await session.submit("dead", "bad", agent="echo", turn_id="d1")
    await session.drain("dead", [echo(fail)], Policy(max_attempts=1))
    (letter,) = await session.dead_letters()
    return letter.id
