"""What the smaller parts of a SQLite store ask of it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from turnwise.contracts import Waiter
from turnwise.limits import Limits

T = TypeVar("T")
Wakes = list[tuple[str, str]]


class Host(Protocol):
    """The store."""

    limits: Limits
    clock: Callable[[], int]

    async def call(
        self,
        apply: Callable[[sqlite3.Connection], tuple[T, Wakes]],
        session_id: str | None = None,
        *,
        writes: bool = True,
    ) -> T:
        """Do something in a transaction of the connection's thread, then wake whom it tells."""

    def leave_wakes(self, database: sqlite3.Connection, wake: Wakes, now: int) -> None:
        """Leave wake-ups for other processes, in a transaction."""

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        """As in the contract."""
