"""What the memory and the SQLite store have in common: the contract, said through `Verbs`."""

from __future__ import annotations

import fnmatch
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Literal, TypeVar

from turnwise.contracts import EventLog, Ready, Waiter
from turnwise.limits import Limits
from turnwise.stores.dead_letters import state
from turnwise.stores.embedded.state import State
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.embedded.verbs.session import NewDeadLetter
from turnwise.stores.listeners import Callback, Listeners, waiter
from turnwise.types import (
    Absent,
    Accepted,
    Base,
    Busy,
    Cancelled,
    DeadLetterEntry,
    Done,
    Duplicate,
    Full,
    Gone,
    Grant,
    History,
    Idle,
    Info,
    Late,
    Parked,
    Queued,
    Renewed,
    Running,
    Stale,
)

T = TypeVar("T")
Clock = Callable[[], int]


def system_clock() -> int:
    return time.time_ns() // 1_000_000


class EmbeddedStore(ABC):
    """The contract of `turnwise.contracts.Store` without a server.

    `clock` gives the time in ms since the epoch; tests set it.
    """

    ready: Ready
    events: EventLog
    _longest_wait = 5.0

    def __init__(self, *, limits: Limits | None = None, clock: Clock = system_clock) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self._listeners = Listeners()

    @abstractmethod
    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        """Run one verb alone on its session, wholly or not at all, then `_notify`."""

    @abstractmethod
    async def _session_ids(self) -> Iterable[str]: ...

    @abstractmethod
    async def _dead_letters(self, count: int, after: str) -> list[tuple[str, NewDeadLetter]]:
        """Session id and letter, in the order of their ids; no turn twice."""

    @abstractmethod
    async def delete_dead_letter(self, dead_letter_id: str) -> None: ...

    @abstractmethod
    async def ping(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    def _verbs(self, state: State) -> Verbs:
        return Verbs(state, self.limits, self.clock(), secrets.token_urlsafe(12))

    def _notify(self, wake: list[tuple[str, str]]) -> None:
        for _, token in wake:
            self._listeners.call(token)

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        return waiter(self._listeners, token, self._longest_wait)

    def on_wakeup(self, token: str, callback: Callback) -> AbstractContextManager[None]:
        return self._listeners.listening(token, callback)

    async def read(
        self, session_id: str, base: Base | None = None, limit: int | None = None
    ) -> History | Absent:
        return await self._run(session_id, lambda v: v.read(base, limit), reads=True)

    async def begin(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        lease: int,
        base: Base | None = None,
        *,
        worker: str,
        one_shot: bool = False,
        resume: bool = False,
        ticket: int | None = None,
    ) -> Grant | Busy | Queued | Parked | Duplicate | Stale | Full | Absent:
        return await self._run(
            session_id,
            lambda v: v.begin(
                turn_id,
                token,
                lease,
                base,
                worker=worker,
                one_shot=one_shot,
                resume=resume,
                ticket=ticket,
            ),
        )

    async def next(
        self, session_id: str, token: str, lease: int, base: Base | None = None, *, worker: str
    ) -> Grant | Busy | Parked | Idle | Stale:
        return await self._run(session_id, lambda v: v.next(token, lease, base, worker=worker))

    async def journal(
        self, session_id: str, turn_id: str, token: str, index: int, entries: Sequence[bytes]
    ) -> Done | Stale | Gone:
        return await self._run(session_id, lambda v: v.journal(turn_id, token, index, entries))

    async def renew(self, session_id: str, turn_id: str, token: str) -> Renewed | Stale | Gone:
        return await self._run(session_id, lambda v: v.renew(turn_id, token))

    async def commit(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        base: Base,
        commit_id: str,
        items: Sequence[bytes],
        *,
        keep: int | None = None,
        payload: bytes = b"",
        kind: Literal["turn", "cancelled"] = "turn",
    ) -> Done | Stale | Gone | Full:
        return await self._run(
            session_id,
            lambda v: v.commit(
                turn_id, token, base, commit_id, items, keep=keep, payload=payload, kind=kind
            ),
        )

    async def park(
        self, session_id: str, turn_id: str, token: str, state: bytes
    ) -> Done | Stale | Gone:
        return await self._run(session_id, lambda v: v.park(turn_id, token, state))

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        await self._run(session_id, lambda v: v.abort(turn_id, token))

    async def release(
        self, session_id: str, turn_id: str, token: str, *, counted: bool = False, delay: int = 0
    ) -> None:
        await self._run(
            session_id, lambda v: v.release(turn_id, token, counted=counted, delay=delay)
        )

    async def append(
        self, session_id: str, op_id: str, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Full:
        return await self._run(session_id, lambda v: v.append(op_id, items))

    async def pop(
        self, session_id: str, op_id: str, base: Base
    ) -> Done | Busy | Parked | Stale | Absent:
        return await self._run(session_id, lambda v: v.pop(op_id, base))

    async def clear(self, session_id: str, op_id: str) -> Done | Busy | Parked | Absent:
        return await self._run(session_id, lambda v: v.clear(op_id))

    async def replace(
        self, session_id: str, op_id: str, base: Base, keep: int, items: Sequence[bytes]
    ) -> Done | Busy | Parked | Stale | Full | Absent:
        return await self._run(session_id, lambda v: v.replace(op_id, base, keep, items))

    async def submit(
        self,
        session_id: str,
        turn_id: str,
        message: bytes,
        intent: int | None = None,
        *,
        again: str | None = None,
    ) -> Accepted | Duplicate | Busy | Full | Late:
        return await self._run(session_id, lambda v: v.submit(turn_id, message, intent, again))

    async def status(
        self, session_id: str, turn_id: str
    ) -> Queued | Running | Parked | Duplicate | Absent:
        return await self._run(session_id, lambda v: v.status(turn_id), reads=True)

    async def cancel(
        self,
        session_id: str,
        turn_id: str | None = None,
        *,
        keep: bool = False,
        force: bool = False,
        open_only: bool = False,
        note: str = "",
    ) -> Cancelled | Duplicate:
        return await self._run(
            session_id,
            lambda v: v.cancel(turn_id, keep=keep, force=force, open_only=open_only, note=note),
        )

    async def dead_letter(
        self, session_id: str, turn_id: str, token: str, letter: bytes
    ) -> Done | Stale | Gone:
        return await self._run(session_id, lambda v: v.dead_letter(turn_id, token, letter))

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        found = []
        for session_id, letter in await self._dead_letters(count, after or ""):
            told = state(letter.id, await self.status(session_id, letter.turn_id))
            assert told is not None, "a turn has one letter"
            found.append(
                DeadLetterEntry(
                    letter.id, session_id, letter.turn_id, letter.at, letter.content, told
                )
            )
        return found

    async def delete(self, session_id: str) -> bool:
        return await self._run(session_id, lambda v: v.delete())

    async def expire(self, session_id: str, ttl: int | None) -> bool:
        return await self._run(session_id, lambda v: v.expire(ttl))

    async def info(self, session_id: str) -> Info | Absent:
        return await self._run(session_id, lambda v: v.info(session_id), reads=True)

    async def scan(self, match: str = "*") -> AsyncIterator[str]:
        for session_id in await self._session_ids():
            if fnmatch.fnmatchcase(session_id, match):
                yield session_id
