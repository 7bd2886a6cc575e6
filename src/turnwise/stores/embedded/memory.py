"""Sessions in this process's memory: for tests, and for trying things out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import TypeVar

from turnwise.limits import WORKER_KEPT_MS, Limits
from turnwise.process import LOCK
from turnwise.stores.embedded.memory_audit import AuditLog, MemoryAudit
from turnwise.stores.embedded.memory_registry import MemoryRegistry, Records
from turnwise.stores.embedded.ready import EmbeddedReady
from turnwise.stores.embedded.state import PlainState
from turnwise.stores.embedded.store import Clock, EmbeddedStore, system_clock
from turnwise.stores.embedded.verbs import Verbs
from turnwise.stores.embedded.verbs.session import READY, NewDeadLetter
from turnwise.stores.event_log import Log, events_after, visible, wait_for_events, wake_token
from turnwise.stores.listeners import Listeners
from turnwise.types import Events, SessionSummary

T = TypeVar("T")


class Memory:
    """What all stores on one memory share.

    `claims` has the worker and the end of the claim on each session, the latest claim last;
    `last_claim` is when a worker asked for some. Named records: `workers` and those after it.
    """

    def __init__(self) -> None:
        self.sessions: dict[str, PlainState] = {}
        self.claims: dict[str, tuple[str, int]] = {}
        self.last_claim: int | None = None
        self.dead_letters: dict[tuple[str, str], NewDeadLetter] = {}
        self.logs: dict[tuple[str, str], tuple[Log, list[bytes]]] = {}
        self.listeners = Listeners()
        self.workers: Records = {}
        self.orders: Records = {}
        self.counts: Records = {}
        self.api_keys: Records = {}
        self.open_turns: Records = {}
        self.webhooks: Records = {}
        self.audit = AuditLog()


class MemoryStore(EmbeddedStore):
    """The contract in one process. A verb holds the lock and awaits nothing, so it runs alone.

    Stores with the same `memory` have the same sessions. A forked child has a copy of them.
    """

    def __init__(
        self,
        *,
        limits: Limits | None = None,
        clock: Clock = system_clock,
        memory: Memory | None = None,
    ) -> None:
        super().__init__(limits=limits, clock=clock)
        self.memory = memory or Memory()
        self._listeners = self.memory.listeners
        self.ready = MemoryReady(self)
        self.events = self._events()
        self.workers = MemoryRegistry(self.memory.workers, self.clock, WORKER_KEPT_MS)
        self.orders = MemoryRegistry(self.memory.orders, self.clock, None)
        self.counts = MemoryRegistry(self.memory.counts, self.clock, WORKER_KEPT_MS)
        self.api_keys = MemoryRegistry(self.memory.api_keys, self.clock, None)
        self.open_turns = MemoryRegistry(self.memory.open_turns, self.clock, WORKER_KEPT_MS)
        self.webhooks = MemoryRegistry(self.memory.webhooks, self.clock, None)
        self.audit = MemoryAudit(self.memory.audit, self.clock)

    def _events(self) -> MemoryEvents:
        return MemoryEvents(self)

    async def _run(self, session_id: str, verb: Callable[[Verbs], T], *, reads: bool = False) -> T:
        await asyncio.sleep(0)  # callers may rely on every verb giving way to other tasks
        with LOCK:
            return self._run_alone(session_id, verb)

    def _run_alone(self, session_id: str, verb: Callable[[Verbs], T]) -> T:
        sessions = self.memory.sessions
        state = sessions.get(session_id)
        if state is None or state.is_expired(self.clock()):
            state = PlainState()
        verbs = self._verbs(state)
        answer = verb(verbs)
        if state.header is None:
            sessions.pop(session_id, None)
        else:
            sessions[session_id] = state
        for letter in verbs.dead_letters:
            self.memory.dead_letters.pop((session_id, letter.turn_id), None)
            self.memory.dead_letters[session_id, letter.turn_id] = letter
        if ("", READY) in verbs.wake_ups and self.memory.claims.get(session_id, ("-", 0))[0] == "":
            self.memory.claims[session_id] = ("", 0)  # it is free before the end of a delay
        self._notify(verbs.wake_ups)
        return answer

    async def _remove_all_expired(self) -> None:
        now, sessions = self.clock(), self.memory.sessions
        with LOCK:
            for session_id in [s for s, state in sessions.items() if state.is_expired(now)]:
                del sessions[session_id]

    async def _page(self, after: str, count: int) -> list[SessionSummary]:
        await asyncio.sleep(0)
        now, rows = self.clock(), list[SessionSummary]()
        with LOCK:
            sessions = self.memory.sessions
            behind = (s for s in sessions if s > after and not sessions[s].is_expired(now))
            if self.owner is not None:
                behind = (s for s in behind if self._is_own(sessions[s]))
            for session_id in nsmallest(count, behind):
                header, queued = sessions[session_id].header, len(sessions[session_id].queue)
                assert header is not None, "it is stored"
                rows.append(header.summary(session_id, now, queued=queued))
        return rows

    def _is_own(self, state: PlainState) -> bool:
        return state.header is not None and state.header.owner == self.owner

    async def _dead_letters(self, count: int, after: str) -> list[tuple[str, NewDeadLetter]]:
        with LOCK:
            letters = [(s, letter) for (s, _), letter in self.memory.dead_letters.items()]
        behind = [pair for pair in letters if pair[1].id > after]
        return sorted(behind, key=lambda pair: pair[1].id)[:count]

    async def count_dead_letters(self) -> int:
        return len(self.memory.dead_letters)

    async def _delete_dead_letter(self, dead_letter_id: str) -> None:
        with LOCK:
            letters = self.memory.dead_letters
            for turn in [turn for turn, letter in letters.items() if letter.id == dead_letter_id]:
                del letters[turn]

    async def ping(self) -> None:
        """Memory always answers."""

    async def aclose(self) -> None:
        """Sessions live as long as the object does."""


class MemoryReady(EmbeddedReady):
    """Looks at every session."""

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(store)
        self._memory_store = store

    async def _note_claim(self, now: int) -> None:
        self._memory_store.memory.last_claim = now

    async def _last_claim(self) -> int | None:
        return self._memory_store.memory.last_claim

    def _claimable(self, now: int) -> list[str]:
        memory = self._memory_store.memory
        return [
            session_id
            for session_id, state in memory.sessions.items()
            if state.is_ready(now)
            and not state.is_expired(now)
            and memory.claims.get(session_id, ("", 0))[1] <= now
        ]

    async def announced(self, count: int) -> list[str]:
        now = self._memory_store.clock()
        with LOCK:
            since = [
                (min(entry.submitted for entry in state.queue if entry.kind == "message"), name)
                for name, state in self._memory_store.memory.sessions.items()
                if not state.is_expired(now) and state.has_message()
            ]
        return [session_id for _, session_id in nsmallest(count, since)]

    async def _unclaimed(self, now: int) -> tuple[int, int | None]:
        with LOCK:
            found = self._claimable(now)
            queues = [self._memory_store.memory.sessions[session_id].queue for session_id in found]
            since = [entry.submitted for queue in queues for entry in queue if entry.submitted]
        return len(found), min(since, default=None)

    async def _take(self, worker: str, count: int, now: int, until: int) -> list[str]:
        await asyncio.sleep(0)
        with LOCK:
            return self._take_now(worker, count, now, until)

    def _take_now(self, worker: str, count: int, now: int, until: int) -> list[str]:
        memory = self._memory_store.memory
        last_claimed = {session_id: index for index, session_id in enumerate(memory.claims)}
        taken = sorted(
            self._claimable(now), key=lambda session_id: last_claimed.get(session_id, -1)
        )[:count]
        for session_id in taken:
            memory.claims.pop(session_id, None)
            memory.claims[session_id] = (worker, until)
        return taken

    async def _move(self, worker: str, sessions: list[str], to: str, until: int) -> None:
        claims = self._memory_store.memory.claims
        with LOCK:
            for session_id in sessions:
                if claims.get(session_id, ("", 0))[0] == worker:
                    claims[session_id] = (to, until)

    async def _end_claim(self, session_id: str) -> None:
        with LOCK:
            self._memory_store.memory.claims.pop(session_id, None)

    async def _free(self, worker: str, sessions: list[str]) -> None:
        await self._move(worker, sessions, "", self._memory_store.clock())


class MemoryEvents:
    """The event log as plain lists."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store

    async def append(
        self,
        session_id: str,
        turn_id: str,
        attempt: int,
        index: int,
        events: Sequence[bytes],
        *,
        last: bool = False,
    ) -> bool:
        await asyncio.sleep(0)
        with LOCK:
            added = self._append(session_id, turn_id, attempt, index, events, last=last)
        if added:
            self._store._notify([("", wake_token(session_id, turn_id))])
        return added

    def _append(
        self,
        session_id: str,
        turn_id: str,
        attempt: int,
        index: int,
        events: Sequence[bytes],
        *,
        last: bool,
    ) -> bool:
        self._expire()
        logs, limits = self._store.memory.logs, self._store.limits
        log, kept = logs.get((session_id, turn_id), (None, []))
        if log is not None and log.owner != self._store.owner:
            log = None  # an earlier session's
        if log is not None and log.attempt > attempt:
            return False
        if log is None or log.attempt < attempt:
            log, kept = Log(attempt, index, index, owner=self._store.owner), []
            logs[session_id, turn_id] = log, kept
        new = events[max(0, log.next - index) :]
        kept += new
        log.next += len(new)
        log.first = max(log.first, log.next - limits.max_events)
        del kept[: len(kept) - (log.next - log.first)]
        log.ended = log.ended or last
        log.expires = self._store.clock() + limits.events_ttl_ms
        return True

    async def read(
        self, session_id: str, turn_id: str, after: str | None = None, timeout: float = 0
    ) -> Events:
        async def read() -> Events:
            return self._read(session_id, turn_id, after)

        async with self._store.waiter(wake_token(session_id, turn_id)) as waiter:
            return await wait_for_events(read, waiter, timeout)

    def _read(self, session_id: str, turn_id: str, cursor: str | None) -> Events:
        with LOCK:
            self._expire()
            log, kept = self._store.memory.logs.get((session_id, turn_id), (None, []))
            log = visible(log, self._store.owner)
            first = 0 if log is None else log.first
            return events_after(log, cursor, lambda start, end: kept[start - first : end - first])

    def _expire(self) -> None:
        now, logs = self._store.clock(), self._store.memory.logs
        for turn in [turn for turn, (log, _) in logs.items() if log.expires <= now]:
            del logs[turn]
