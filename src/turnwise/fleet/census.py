"""Counting all sessions, a part at a time; and one count for all who ask for it.

No verb keeps such a count. It would be a second key, on a cluster in another slot: a death between
the two writes, an expiry or a failover would make it wrong for good, and turns would pay for it.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from turnwise.errors import StoreError, UsageError
from turnwise.fleet.actions import OperatorActions
from turnwise.turns import mint
from turnwise.types import RegistryEntry, SessionCounts, SessionSummary

LEAST = 15.0
"""Seconds after which a count is made again, at least."""
REST = 24
"""How many times as long as a part took the counting rests."""
_LONGEST_REST = 10.0
_SAY_SO = 5.0
"""How often who counts says so, in seconds."""
_SILENT_MS = 30_000
"""If it did not for so long, another one counts."""
_COUNTING, _COUNTED = "counting", "counted"
_HOLDERS = 500
"""How many processes are counted."""
_HEADS = 20
"""Of how many sessions that nobody serves a walk asks for the first message."""


@dataclass(frozen=True)
class Census:
    """What a walk through all sessions counted.

    Attributes:
        at: When it was done, in POSIX seconds.
        states: How many sessions are in each state.
        queued: How many messages and callers wait.
        turns: How many commits all sessions had.
        later_attempts: How many open turns are on their second attempt or later.
        parked_since: Since when the turn that waits longest for approvals does, in POSIX seconds.
        oldest: For how many seconds a message waits that nobody has taken; None if there is none.
        dead_letters: How many there are.
        holders: How many running turns each process has, background workers and others.
        lost: How many turns each process had when its lease ended.
    """

    at: float = 0.0
    states: Counter[str] = field(default_factory=Counter)
    queued: int = 0
    turns: int = 0
    later_attempts: int = 0
    parked_since: float | None = None
    oldest: float | None = None
    dead_letters: int = 0
    holders: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @property
    def sessions(self) -> int:
        return self.states.total()

    @property
    def stuck_at_a_glance(self) -> int:
        """Sessions in states that need a person. `Session.stuck` finds others."""
        return sum(self.states[state] for state in ("dead", "stopped", "newer", "unreadable"))


class Walk:
    """Walks through all sessions, a part at each call of `further`."""

    def __init__(self, session: OperatorActions) -> None:
        self._session = session
        self._cursor: str | None = None
        self._begin()

    async def further(self) -> Census | None:
        """What was counted, if this part was the last one; the next one begins a new walk."""
        try:
            page = await self._session.sessions(cursor=self._cursor)
        except UsageError:
            self._session.runtime.check_open()
            self._begin()  # a node of a cluster was replaced
            return None
        for found in page.sessions:
            self._count(found)
        self._cursor = page.cursor
        if page.cursor is not None:
            return None
        try:
            return await self._counted()
        finally:
            self._begin()

    def _begin(self) -> None:
        self._cursor = None
        self._states, self._holders, self._lost = Counter[str](), Counter[str](), Counter[str]()
        self._queued = self._turns = self._later_attempts = 0
        self._parked_since: float | None = None
        self._heads: list[str] = []

    def _count(self, found: SessionSummary) -> None:
        self._states[found.state] += 1
        self._queued += found.queued
        self._turns += found.turns
        if found.state == "parked" and found.since is not None:
            self._parked_since = min(found.since, self._parked_since or found.since)
        if found.queued and found.state in ("queued", "dead") and len(self._heads) < _HEADS:
            self._heads.append(found.session_id)
        if (turn := found.open_turn) is not None:
            self._later_attempts += turn.attempt > 1
            held = {"running": self._holders, "dead": self._lost}.get(found.state)
            if held is not None and (turn.worker in held or len(held) < _HOLDERS):
                held[turn.worker] += 1

    async def _counted(self) -> Census:
        store = self._session.runtime.store
        waiting = [await self._waiting(session_id) for session_id in self._heads]
        unclaimed = await store.ready.unclaimed()
        if unclaimed.oldest_ms is not None:
            waiting.append(unclaimed.oldest_ms / 1000)
        return Census(
            at=time.time(),
            states=self._states,
            queued=self._queued,
            turns=self._turns,
            later_attempts=self._later_attempts,
            parked_since=self._parked_since,
            oldest=max(waiting, default=None),
            dead_letters=await store.count_dead_letters(),
            holders=self._holders,
            lost=self._lost,
        )

    async def _waiting(self, session_id: str) -> float:
        queue = await self._session.queue(session_id, 1)
        return queue[0].waiting_for if queue else 0.0


class _Counted(msgspec.Struct):
    """What is stored of a count."""

    states: dict[str, int]
    parked_since: float | None


_decoder = msgspec.json.Decoder(_Counted)


class SharedCensus:
    """The count that all processes of a store share, for metrics.

    Who asks for it finds what was counted last. If that is older than LEAST, one of those who ask
    counts again, in a task of its own. It rests between parts, so a million sessions cost the store
    no more at a time than a few do: they are counted more rarely. When nobody asks, nobody counts.
    """

    def __init__(self, session: OperatorActions) -> None:
        self._session = session
        self._counts = session.runtime.store.counts
        self._task: asyncio.Task[None] | None = None

    async def latest(self) -> SessionCounts | None:
        """What was counted last; None before the first count is done."""
        found = {entry.name: entry for entry in await self._counts.list()}
        counted, counting = found.get(_COUNTED), found.get(_COUNTING)
        is_due = counted is None or counted.age_ms >= LEAST * 1000
        is_counting = counting is not None and counting.age_ms < _SILENT_MS
        if is_due and not is_counting and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._count(), name="turnwise-census")
        return None if counted is None else _decoded(counted)

    async def aclose(self) -> None:
        """Count no further."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _count(self) -> None:
        with suppress(StoreError, UsageError):  # the next who asks begins anew
            await self._count_as(mint().encode())

    async def _count_as(self, me: bytes) -> None:
        """Two who begin at the same moment notice it: the one that said so last goes on."""
        walk, said = Walk(self._session), time.monotonic()
        await self._counts.write(_COUNTING, me)
        while True:
            began = time.monotonic()
            census = await walk.further()
            if (census is not None or began - said > _SAY_SO) and not await self._is(me):
                return
            if census is not None:
                counted = _Counted(dict(census.states), census.parked_since)
                await self._counts.write(_COUNTED, msgspec.json.encode(counted))
                await self._counts.remove(_COUNTING)
                return
            if began - said > _SAY_SO:
                await self._counts.write(_COUNTING, me)
                said = began
            await asyncio.sleep(min(REST * (time.monotonic() - began), _LONGEST_REST))

    async def _is(self, me: bytes) -> bool:
        """Whether it still is this one that counts."""
        found = await self._counts.list()
        return (_COUNTING, me) in [(entry.name, entry.record) for entry in found]


def _decoded(entry: RegistryEntry) -> SessionCounts | None:
    """None for what another version wrote in another form."""
    try:
        counted = _decoder.decode(entry.record)
    except msgspec.MsgspecError:
        return None
    since = counted.parked_since
    waiting = None if since is None else max(0.0, time.time() - since)
    return SessionCounts(counted.states, waiting, entry.age_ms / 1000)
