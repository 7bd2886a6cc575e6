"""Ways past a session to the elements that its store keeps."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Protocol, cast

from tests.integration.fault_lab import (
    raw,
)
from turnwise.testing.servers import ValkeyServer


class Store(Protocol):
    """A way past the session to its stored elements."""

    async def elements(self) -> list[bytes]: ...

    async def put(self, position: int, element: bytes) -> None: ...


class InRedis:
    def __init__(self, server: ValkeyServer, key: str) -> None:
        self._server, self._key = server, key

    async def elements(self) -> list[bytes]:
        async with raw(self._server) as client:
            return cast(list[bytes], await client.lrange(self._key, 1, -1))

    async def put(self, position: int, element: bytes) -> None:
        async with raw(self._server) as client:
            # redis-py's types know texts only.
            await client.lset(self._key, 1 + position, element)  # type: ignore[arg-type]


class InFile:
    def __init__(self, path: Path) -> None:
        self._path = path

    async def elements(self) -> list[bytes]:
        with closing(sqlite3.connect(self._path)) as database:
            rows = database.execute("SELECT element FROM elements ORDER BY position").fetchall()
        return [element for (element,) in rows]

    async def put(self, position: int, element: bytes) -> None:
        with closing(sqlite3.connect(self._path, isolation_level=None)) as database:
            change = "UPDATE elements SET element = ? WHERE position = ?"
            database.execute(change, [element, position])
