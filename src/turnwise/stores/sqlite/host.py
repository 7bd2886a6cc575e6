"""What the ready table and the event log need of the SQLite store."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol, TypeVar

from turnwise.contracts import Waiter
from turnwise.limits import Limits
from turnwise.stores.embedded.verbs.session import WakeUp

T = TypeVar("T")


class Host(Protocol):
    """The store."""

    path: str
    limits: Limits
    clock: Callable[[], int]
    owner: str | None

    async def call(
        self,
        apply: Callable[[sqlite3.Connection], tuple[T, list[WakeUp]]],
        session_id: str | None = None,
        *,
        writes: bool = True,
    ) -> T:
        """Run `apply` in a transaction; return its answer, and wake whom it names."""

    def leave_wake_ups(
        self, database: sqlite3.Connection, wake_ups: list[WakeUp], now: int
    ) -> None:
        """Store wake-ups for other processes, inside a transaction."""

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        """As in the contract."""
