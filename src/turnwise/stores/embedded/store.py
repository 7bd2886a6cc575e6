"""What the memory and the SQLite store have in common: the contract, by `Verbs` on a session."""

from __future__ import annotations

import fnmatch
import re
import secrets
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Iterable
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from copy import copy
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from turnwise.contracts import Audit, EventLog, Ready, Registry, Waiter
from turnwise.errors import UsageError
from turnwise.limits import Limits
from turnwise.stores.dead_letters import no_letter_id, state_of
from turnwise.stores.embedded.state import State
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.embedded.verbs.session import NewDeadLetter, WakeUp
from turnwise.stores.header import check_owner
from turnwise.stores.listeners import Callback, Listeners, event_waiter
from turnwise.types import Absent, DeadLetterEntry, Info, SessionPage, SessionSummary

P = ParamSpec("P")
T = TypeVar("T")
Clock = Callable[[], int]
_LETTER_ID = re.compile(r"[0-9]{13,19}-[\w-]+", re.ASCII)
"""When it was written, in ms, and a random text."""
_SURROGATE = re.compile("[\ud800-\udfff]")
"""What no id has, since UTF-8 cannot say it."""


def _is_letter_id(given: object) -> bool:
    return isinstance(given, str) and _LETTER_ID.fullmatch(given) is not None


def system_clock() -> int:
    return time.time_ns() // 1_000_000


def _verb(
    method: Callable[Concatenate[Verbs, P], T], *, reads: bool = False
) -> Callable[Concatenate[EmbeddedStore, str, P], Coroutine[Any, Any, T]]:
    """The store's verb: the method of `Verbs`, on the session that the first argument names."""

    async def run(store: EmbeddedStore, session_id: str, *args: P.args, **options: P.kwargs) -> T:
        return await store._run(
            session_id, lambda verbs: method(verbs, *args, **options), reads=reads
        )

    run.__doc__, run.__name__ = method.__doc__, method.__name__
    return run  # type: ignore[return-value]  # Concatenate cannot say that session_id has a name


class EmbeddedStore(ABC):
    """The contract of `turnwise.contracts.Store` without a server.

    `clock` gives the time in ms since the epoch; tests set it.
    """

    ready: Ready
    events: EventLog
    workers: Registry
    orders: Registry
    counts: Registry
    api_keys: Registry
    open_turns: Registry
    webhooks: Registry
    audit: Audit
    owner: str | None = None
    _max_wait = 5.0
    """The longest wait for a wake-up, in seconds."""

    def __init__(self, *, limits: Limits | None = None, clock: Clock = system_clock) -> None:
        self.limits = limits or Limits()
        self.clock = clock
        self._listeners = Listeners()

    def for_owner(self, owner: str) -> Self:
        view = copy(self)
        view.owner = check_owner(owner)
        view.events = view._events()
        return view

    @abstractmethod
    def _events(self) -> EventLog:
        """The event log of this store's owner."""

    @abstractmethod
    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        """Run one verb alone on its session, wholly or not at all, then `_notify`."""

    @abstractmethod
    async def _remove_all_expired(self) -> None: ...

    @abstractmethod
    async def _page(self, after: str, count: int) -> list[SessionSummary]:
        """The next sessions of the owner behind this id, in the order of their ids."""

    @abstractmethod
    async def _dead_letters(self, count: int, after: str) -> list[tuple[str, NewDeadLetter]]:
        """Session ids and letters, in the order of the letters' ids; one a turn."""

    @abstractmethod
    async def count_dead_letters(self) -> int: ...

    @abstractmethod
    async def _delete_dead_letter(self, dead_letter_id: str) -> None: ...

    @abstractmethod
    async def ping(self) -> None: ...

    @abstractmethod
    async def aclose(self) -> None: ...

    read = _verb(Verbs.read, reads=True)
    begin = _verb(Verbs.begin)
    next = _verb(Verbs.next)
    journal = _verb(Verbs.journal)
    renew = _verb(Verbs.renew)
    commit = _verb(Verbs.commit)
    park = _verb(Verbs.park)
    stop = _verb(Verbs.stop)
    abort = _verb(Verbs.abort)
    release = _verb(Verbs.release)
    append = _verb(Verbs.append)
    pop = _verb(Verbs.pop)
    clear = _verb(Verbs.clear)
    replace = _verb(Verbs.replace)
    restore = _verb(Verbs.restore)
    submit = _verb(Verbs.submit)
    status = _verb(Verbs.status, reads=True)
    queue = _verb(Verbs.queue, reads=True)
    open_journal = _verb(Verbs.open_journal, reads=True)
    cancel = _verb(Verbs.cancel)
    dead_letter = _verb(Verbs.dead_letter)
    delete = _verb(Verbs.delete)
    expire = _verb(Verbs.expire)

    async def info(self, session_id: str) -> Info | Absent:
        return await self._run(session_id, lambda verbs: verbs.info(session_id), reads=True)

    async def dead_letters(
        self, count: int = 100, after: str | None = None
    ) -> list[DeadLetterEntry]:
        entries = []
        if after is not None and not _is_letter_id(after):
            raise no_letter_id(after)
        for session_id, letter in await self._dead_letters(count, after or ""):
            state = state_of(letter.id, await self.status(session_id, letter.turn_id))
            assert state is not None, "a turn has one letter"
            turn = session_id, letter.turn_id
            entries.append(DeadLetterEntry(letter.id, *turn, letter.at_ms, letter.content, state))
        return entries

    async def delete_dead_letter(self, dead_letter_id: str) -> None:
        if _is_letter_id(dead_letter_id):
            await self._delete_dead_letter(dead_letter_id)

    async def page(
        self, match: str = "*", cursor: str | None = None, count: int = 500
    ) -> SessionPage:
        given: object = cursor  # also from callers without a type checker
        if cursor is None:
            await self._remove_all_expired()
        elif not isinstance(given, str) or _SURROGATE.search(given):
            raise UsageError(f"{ascii(cursor)[:80]} is no cursor: begin again without one")
        rows = await self._page(cursor or "", count)
        wanted = [row for row in rows if fnmatch.fnmatchcase(row.session_id, match)]
        return SessionPage(wanted, rows[-1].session_id if len(rows) == count else None)

    def waiter(self, token: str) -> AbstractAsyncContextManager[Waiter]:
        return event_waiter(self._listeners, token, self._max_wait)

    def on_wakeup(self, token: str, callback: Callback) -> AbstractContextManager[object]:
        return self._listeners.listening(token, callback)

    def _verbs(self, state: State) -> Verbs:
        new_id = secrets.token_urlsafe(12)
        return Verbs(state, self.limits, self.clock(), new_id, self.owner)

    def _notify(self, wake_ups: Iterable[WakeUp]) -> None:
        for _, token in wake_ups:
            self._listeners.wake(token)
