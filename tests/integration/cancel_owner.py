"""A worker process in the middle of a turn that others end."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.integration.cancel_process import LEASE
from tests.integration.forked import ForkedProcess, Forks, cancelled_turn
from tests.integration.programs import ready


class Owner:
    """The process whose turn it is."""

    def __init__(self, started: Forks, url: str, folder: Path) -> None:
        self._started = started
        self._url = url
        self._folder = folder
        self.process: ForkedProcess | None = None
        self.reason = ""

    async def begin(self, how: str, lease: float = LEASE) -> None:
        """Return when its run is in the tool that does not end."""
        words = self._url, self._folder.name, str(self._folder), how, str(lease)
        self.process = self._started.start(cancelled_turn, *words, environment={})
        await self._file("entered")

    async def ended(self) -> tuple[str, int]:
        """The error that its run ended with, and how often its model was asked; sets `reason`."""
        await self._file("ended")
        error, asked, self.reason = (self._folder / "ended").read_text().split(" ", 2)
        return error, int(asked)

    async def _file(self, name: str) -> None:
        async def there() -> bool:
            return (self._folder / name).exists()

        assert self.process is not None
        await ready(self.process, there, name)

    def resume(self) -> None:
        assert self.process is not None
        self.process.resume()
        (self._folder / "over").touch()

    async def strike(self, how: str) -> None:
        assert self.process is not None
        if how == "paused":
            self.process.pause()
            while self._holds_the_file():  # it was renewing its lease: nobody could commit
                self.process.resume()
                self.process.pause()
        elif how == "killed":
            await self.process.kill()

    def _holds_the_file(self) -> bool:
        """Whether it was stopped in the middle of a transaction of SQLite."""
        file = self._folder / "sessions.db"
        if not file.exists():
            return False
        with closing(sqlite3.connect(file, timeout=0)) as database:
            try:
                database.execute("BEGIN EXCLUSIVE")  # a reader blocks the COMMIT too
            except sqlite3.OperationalError:
                return True
        return False
