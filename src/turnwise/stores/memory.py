"""Sessions in this process's memory: for tests, and for trying things out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import TypeVar

from turnwise.contracts import Bounds
from turnwise.stores.embedded import Clock, EmbeddedStore, system_clock
from turnwise.stores.state import Entry, Header
from turnwise.stores.verbs import Verbs

T = TypeVar("T")


class MemoryState:
    """One session as plain lists."""

    def __init__(self) -> None:
        self.header: Header | None = None
        self.queue: list[Entry] = []
        self._history: list[bytes] = []
        self._journal: list[bytes] = []

    def history(self, first: int, last: int) -> list[bytes]:
        return self._history[first:last]

    def extend(self, elements: list[bytes]) -> None:
        self._history += elements

    def truncate(self, length: int) -> None:
        del self._history[length:]

    def find(self, marker: bytes, first: int) -> int | None:
        positions = range(len(self._history) - 1, first - 1, -1)
        return next((p for p in positions if self._history[p] == marker), None)

    def journal(self) -> list[bytes]:
        return list(self._journal)

    def extend_journal(self, entries: list[bytes]) -> None:
        self._journal += entries

    def trim_journal(self) -> None:
        self._journal.clear()

    def expired(self, now: int) -> bool:
        expires = self.header.expires if self.header else None
        return expires is not None and expires <= now


class MemoryStore(EmbeddedStore):
    """The contract in one process. Nothing here awaits inside a verb, so each runs alone."""

    def __init__(self, *, bounds: Bounds | None = None, clock: Clock = system_clock) -> None:
        super().__init__(bounds=bounds, clock=clock)
        self._sessions: dict[str, MemoryState] = {}

    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        await asyncio.sleep(0)  # callers may rely on every verb giving way to other tasks
        state = self._sessions.get(session_id)
        if state is None or state.expired(self.clock()):
            state = MemoryState()
        verbs = self._verbs(state)
        answer = verb(verbs)
        if state.header is None:
            self._sessions.pop(session_id, None)
        else:
            self._sessions[session_id] = state
        self._notify(verbs.wake)
        return answer

    async def _session_ids(self) -> Iterable[str]:
        now = self.clock()
        for session_id in [s for s, state in self._sessions.items() if state.expired(now)]:
            del self._sessions[session_id]
        return list(self._sessions)

    async def ping(self) -> None:
        """Memory always answers."""

    async def aclose(self) -> None:
        """Sessions live as long as the object does."""
