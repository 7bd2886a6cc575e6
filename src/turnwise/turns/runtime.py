"""What a process works with: its store, codec, cache and settings."""

from __future__ import annotations

import asyncio
import logging
import math
import os
import socket
import threading
from collections.abc import Awaitable, Iterable, Mapping
from copy import copy
from functools import partial
from typing import Any, Self

from turnwise.cache import Cache
from turnwise.codec import Codec, EncodedTooLarge, EncodeError
from turnwise.contracts import Store
from turnwise.errors import InvalidItem, ItemTooLarge, StoreError, TurnTooLarge, UsageError
from turnwise.hooks import TurnEvent, emit
from turnwise.process import PerLoop, PerProcess, process_name
from turnwise.turns.errors import shown
from turnwise.turns.ids import mint
from turnwise.turns.isolation import Isolation
from turnwise.turns.reading import Reader
from turnwise.turns.settings import Settings
from turnwise.turns.shielding import shielded
from turnwise.turns.turn_stats import TurnStats
from turnwise.types import Info

_FIRST_PAUSE, _MAX_PAUSE = 1.0, 30.0
"""Seconds between attempts to tell workers of a session."""
_log = logging.getLogger("turnwise")


def default_worker_name() -> str:
    """Host, process id and a random part: it shows operators who holds a lease."""
    return f"{socket.gethostname()}:{os.getpid()}:{mint()[:6]}"


class Runtime:
    """One process's store, with its codec, cache and settings.

    Attributes:
        store: the store of all sessions.
        settings: how this process runs turns.
        codec: between items and stored elements.
        reader: reads histories, through the cache.
        lease_ms: the settings' lease in milliseconds, as the store counts it.
        isolation: which messages run side by side in each event loop.
        held: session id and turn_id of each turn that this process holds, by the lease's token.
        turn_stats: how the turns of this process went.
        origin: the runtime that this one is an owner's view of; itself if it has all sessions.
    """

    def __init__(self, store: Store, settings: Settings, name: str) -> None:
        self.store = store
        self.settings = settings
        self.lease_ms = math.ceil(settings.lease * 1000)
        self._name = process_name(name)
        self.codec = Codec(compression=settings.compression)
        self.isolation = PerLoop(Isolation)
        self.held: PerProcess[dict[str, tuple[str, str]]] = PerProcess(dict)
        self.turn_stats = PerProcess(TurnStats)
        self.reader = Reader(store, self.codec, Cache(settings.cache_bytes))
        self._tasks: PerLoop[set[asyncio.Task[None]]] = PerLoop(set)
        self._closed = threading.Event()
        self.origin = self

    @property
    def owner(self) -> str | None:
        """The only owner whose sessions there are for it; None if it has all sessions."""
        return self.store.owner

    def for_owner(self, owner: str | None) -> Self:
        """The same process, for the sessions of this owner only; itself for None or its own owner.

        Raises UsageError for another owner than its own, or a name that is none.
        """
        if owner in (None, self.owner):
            return self
        if self.owner is not None:
            raise UsageError(
                "this object is bound to the sessions of one owner, and cannot be another's: call "
                "for_owner on the object that has all sessions"
            )
        view = copy(self)
        view.store = self.store.for_owner(owner)
        view.reader = Reader(view.store, self.codec, self.reader.cache)
        return view

    def check_unowned(self, what: str) -> None:
        """Raise UsageError if this is an owner's view: `what` concerns the sessions of others."""
        if self.owner is not None:
            raise UsageError(
                f"{what} concerns the sessions of all owners, and this object is bound to those of "
                "one: call it on the session object without an owner"
            )

    @property
    def name(self) -> str:
        """The worker's name, as operators see it. A forked child has one of its own."""
        return self._name.get()

    def now(self) -> float:
        """The event loop's clock, in seconds."""
        return asyncio.get_running_loop().time()

    def emit(self, event: TurnEvent) -> None:
        """Count the event, and call every hook with it."""
        self.turn_stats.get().note(event)
        if self.settings.hooks:
            emit(self.settings.hooks, event)

    def keep(self, task: asyncio.Task[None]) -> None:
        """Keep a task that ends a turn, which the event loop alone does not. `aclose` awaits it."""
        tasks = self._tasks.get()
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    async def aclose(self, grace: float) -> None:
        """Close the store, when the tasks that are kept have ended or were cancelled."""
        tasks = set(self._tasks.get())
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=grace)
                for task in tasks:
                    task.cancel()
                await asyncio.wait(tasks)
        finally:
            self._closed.set()
            await self.store.aclose()

    def check_open(self) -> None:
        """Raise UsageError after `aclose`."""
        if self._closed.is_set():
            raise UsageError(
                "this session object is closed: aclose() was called on it, or on one that shares "
                "its connections through bind(), or its `async with` block has ended. Make a new "
                "one, or close it later"
            )

    def raw(
        self, session_id: str, items: Iterable[Mapping[str, Any]], *, before: int = 0
    ) -> list[bytes]:
        """The items as raw elements: all of them, or an error.

        Args:
            session_id: the session, for the error.
            items: JSON objects.
            before: raw bytes that the same turn has added before.

        Raises:
            InvalidItem: an item is not a JSON object.
            ItemTooLarge, TurnTooLarge: an item, or the turn, exceeds its limit.
        """
        raw = [self._raw(session_id, item) for item in items]
        size = before + sum(map(len, raw))
        if size > (limit := self.settings.max_turn_bytes):
            raise TurnTooLarge(
                f"the items of one turn would take {size} bytes, over max_turn_bytes={limit}; none "
                "of these was added. Add less in one turn, or raise the limit",
                session_id=session_id,
            )
        return raw

    def _raw(self, session_id: str, item: Mapping[str, Any]) -> bytes:
        try:
            raw = self.codec.dump(item)
        except EncodedTooLarge as error:
            raise self._too_large(session_id, error.size, error.limit) from None
        except EncodeError as error:
            raise InvalidItem(
                f"{error}; an item is a dict of JSON values. Nothing was added",
                session_id=session_id,
            ) from None
        if len(raw) > self.settings.max_item_bytes:
            raise self._too_large(session_id, len(raw))
        return raw

    def _too_large(self, session_id: str, size: int, readable: float = math.inf) -> ItemTooLarge:
        if (limit := self.settings.max_item_bytes) < readable:
            bound, advice = f"max_item_bytes={limit}", ", or raise the limit"
        else:
            bound, advice = f"{readable}, the most that is readable", ""
        return ItemTooLarge(
            f"an item takes {size} bytes, over {bound}; nothing was added. Keep large content "
            f"elsewhere and refer to it{advice}",
            session_id=session_id,
        )

    async def abort(self, session_id: str, turn_id: str, token: str) -> None:
        """Roll an open turn back, or leave the queue. Never raises for the store.

        If the store does not answer, the turn ends when its lease expires.
        """
        await self._try(turn_id, self.store.abort(session_id, turn_id, token))

    async def release(
        self,
        session_id: str,
        turn_id: str,
        token: str,
        *,
        counted: bool = True,
        delay: float = 0.0,
        decided: bool | None = None,
    ) -> None:
        """Give an open turn back with its journal, or leave the queue.

        Never raises for the store, unless it is to be handed to workers (`decided`).

        Args:
            session_id: the session.
            turn_id: the turn.
            token: the lease's token.
            counted: whether the attempt counts as failed.
            delay: seconds before the next attempt at a message may begin.
            decided: whether workers may continue a message's turn that was parked; None leaves it
                as it is.
        """
        delay_ms = math.ceil(delay * 1000)
        how: dict[str, Any] = {"counted": counted, "delay_ms": delay_ms, "decided": decided}
        call = self.store.release(session_id, turn_id, token, **how)
        if decided:
            await call
        else:
            await self._try(turn_id, call)

    async def wake_workers(self, session_id: str) -> None:
        """Announce the session's messages, which workers have left: a turn was parked or stopped.

        Whoever ends such a turn calls it. Never raises for the store: if that does not answer for
        as long as a lease, it is tried again and again in the background. If this process dies
        first, a sweep finds the messages.
        """
        if not await shielded(partial(self._wake_workers, session_id)):
            later = self._wake_workers_later(session_id)
            self.keep(asyncio.create_task(later, name="turnwise-wake-workers"))

    async def _wake_workers_later(self, session_id: str) -> None:
        pause = _FIRST_PAUSE
        while True:
            await asyncio.sleep(pause)
            if await self._wake_workers(session_id):
                return
            pause = min(2 * pause, _MAX_PAUSE)

    async def _wake_workers(self, session_id: str) -> bool:
        try:
            async with asyncio.timeout(self.settings.lease):
                info = await self.store.info(session_id)
                if isinstance(info, Info) and info.queued:
                    await self.store.ready.announce(session_id, None)
                return True
        except (StoreError, TimeoutError) as error:
            _log.warning("no worker was told of session %r yet: %s", session_id, shown(error))
            return False

    async def _try(self, turn_id: str, call: Awaitable[object]) -> None:
        try:
            async with asyncio.timeout(self.settings.lease):
                await call
        except Exception as error:  # whatever it is, nobody renews the lease any more
            _log.warning("turn %r stays open until its lease expires: %s", turn_id, shown(error))
