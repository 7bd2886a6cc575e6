"""What one principal may do in a time, and at once."""

from __future__ import annotations

import asyncio
import json
import math
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import Depends, HTTPException, Request
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.storage.redis import RedisStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from turnwise.contracts import Store
from turnwise.errors import UsageError
from turnwise.http.principals import Authenticate, Principal
from turnwise.process import PerLoop
from turnwise.session import Session
from turnwise.stores.redis import RedisStore, store_error
from turnwise.turns import check_number

_turns = msgspec.json.Decoder(list[tuple[str, str]])


@dataclass(frozen=True, slots=True)
class Quota:
    """What one principal may do. None stands for no limit.

    Rates are counted over a window that slides: the part of the last one that still counts, and
    this one.

    Attributes:
        requests: How many requests, of any kind: "600/minute".
        turns: How many messages.
        new_sessions: How many sessions it may begin, copies included.
        open_turns: How many of its messages may be unfinished at once, those that wait for an
            approval included. Requests of the same moment may exceed it by a few.
        open_streams: How many streams it may follow at once in one process.
        message_bytes: The most that the input of one message may take as JSON, and the items that
            one request adds to a conversation.
    """

    requests: str | None = "600/minute"
    turns: str | None = "60/minute"
    new_sessions: str | None = "1000/day"
    open_turns: int | None = 20
    open_streams: int | None = 100
    message_bytes: int | None = 1024 * 1024

    def __post_init__(self) -> None:
        for name in ("requests", "turns", "new_sessions"):
            if (rate := getattr(self, name)) is not None:
                _parsed(name, rate)
        for name in ("open_turns", "open_streams", "message_bytes"):
            if (most := getattr(self, name)) is not None:
                check_number(name, most, least=1)


class Quotas:
    """Counts what principals do, and refuses what is too much: HTTPException 429, `Retry-After`.

    On Redis the servers of a fleet count together, in the sessions' own Redis; on SQLite and in
    memory each process counts for itself. Refused requests count too.

    Args:
        session: Stands for all sessions of the store.
        quota: What each principal may do.

    Raises:
        UsageError: A rate cannot be read, or a number is out of range.
    """

    def __init__(self, session: Session, quota: Quota) -> None:
        self.quota = quota
        self._session = session
        self._limiter = PerLoop(lambda: SlidingWindowCounterRateLimiter(self._storage()))
        self._rates = {
            name: _parsed(name, rate)
            for name in ("requests", "turns", "new_sessions")
            if (rate := getattr(quota, name)) is not None
        }
        self._streams: Counter[str] = Counter()

    def _storage(self) -> Storage:
        store: Store = self._session.runtime.store
        if not isinstance(store, RedisStore):
            return MemoryStorage()
        return _StoreStorage(store)

    async def request(self, principal: Principal) -> None:
        """Count a request."""
        await self._hit("requests", principal)

    async def message(
        self, principal: Principal, session_id: str, turn_id: str, input: object
    ) -> None:
        """Count a message, before it is submitted."""
        self.check_size(input)
        await self._hit("turns", principal)
        await asyncio.gather(
            self.session(principal, session_id),
            self._check_open_turns(principal, session_id, turn_id),
        )

    def check_size(self, input: object) -> None:
        """Refuse what takes more bytes than a message may: HTTPException 413."""
        most = self.quota.message_bytes
        if most is not None and (size := _size(input)) > most:
            raise HTTPException(413, f"The input has {size} bytes; {most} are the most.")

    async def session(self, principal: Principal, session_id: str) -> None:
        """Count a session, before anything is put into it; one that is there counts no more."""
        if "new_sessions" in self._rates:
            session = self._session.for_owner(principal.owner)
            if await session.info(session_id) is None:
                await self._hit("new_sessions", principal)

    async def _check_open_turns(self, principal: Principal, session_id: str, turn_id: str) -> None:
        """Note one more open turn. Which of those that are known have ended is asked when full."""
        most, registry = self.quota.open_turns, self._session.runtime.store.open_turns
        if most is None:
            return
        entry, turn = await registry.read(principal.key), (session_id, turn_id)
        known = [] if entry is None else _turns.decode(entry.record)
        if turn in known:  # it is sent again
            return
        if len(known) >= most:
            known = await self._unfinished(known)
            if len(known) >= most:
                raise too_many(f"open_turns: {most}", 1)
        await registry.write(principal.key, msgspec.json.encode([*known, turn]))

    async def _unfinished(self, turns: list[tuple[str, str]]) -> list[tuple[str, str]]:
        states = await asyncio.gather(*(self._session.status(*turn) for turn in turns))
        return [
            turn
            for turn, status in zip(turns, states, strict=True)
            if not status.finished and status.state != "unknown"
        ]

    async def _hit(self, name: str, principal: Principal) -> None:
        rate = self._rates.get(name)
        if rate is None:
            return
        limiter = self._limiter.get()
        try:
            if not await limiter.hit(rate, name, principal.key):
                stats = await limiter.get_window_stats(rate, name, principal.key)
                raise too_many(f"{name}: {rate}", stats.reset_time - time.time())
        except limiter.storage.base_exceptions as error:
            raise store_error(error) from None

    @contextmanager
    def stream(self, principal: Principal) -> Iterator[None]:
        """The block is one open stream of this process."""
        most = self.quota.open_streams
        if most is not None and self._streams[principal.key] >= most:
            raise too_many(f"open_streams: {most}", 1)
        self._streams[principal.key] += 1
        try:
            yield
        finally:
            self._streams[principal.key] -= 1
            if not self._streams[principal.key]:
                del self._streams[principal.key]


class _StoreStorage(RedisStorage):
    """Counters on the store's own connections: whatever server, cluster or Sentinel that is."""

    def __init__(self, store: RedisStore) -> None:
        self._store = store
        # The library puts the second brace before the key, and the closing one behind it: so the
        # keys of one principal and rate share a slot, and begin as the store's others do.
        prefix = f"{{{store.keys.prefix}limits"
        super().__init__("async+redis://", implementation="redispy", key_prefix=prefix)

    def configure_bridge(self) -> None:
        """See `RedisStorage`."""
        bridge: Any = self.bridge
        bridge.storage = self._store.client
        bridge.connection_getter = lambda _: bridge.storage


def too_many(what: str, seconds: float) -> HTTPException:
    """The refusal; the same may be sent again in so many seconds."""
    after = max(1, math.ceil(seconds))
    return HTTPException(
        429, f"Too much at once ({what}). Try again in {after} s.", {"Retry-After": str(after)}
    )


def limited(authenticate: Authenticate, quotas: Quotas) -> Authenticate:
    """The same principals, whose requests are counted."""

    async def counted(
        request: Request,
        principal: Principal = Depends(authenticate),  # noqa: B008  # as FastAPI has it
    ) -> Principal:
        await quotas.request(principal)
        return principal

    return counted


def _size(input: object) -> int:
    """How many bytes it takes as JSON; a text may have half a surrogate pair."""
    return len(json.dumps(input, ensure_ascii=False).encode(errors="surrogatepass"))


def _parsed(name: str, rate: str) -> RateLimitItem:
    try:
        return parse(rate)
    except ValueError:
        raise UsageError(f'{name}={rate!r}: use a rate such as "60/minute"') from None
