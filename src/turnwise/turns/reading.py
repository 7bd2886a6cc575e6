"""Reading histories: from stored elements to items, through the cache."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from turnwise.cache import Cache, HistorySnapshot, Item
from turnwise.call_pairs import is_undecided, paired
from turnwise.codec import Codec, DecodeError
from turnwise.codec.elements import MARKER, RECORD, is_item
from turnwise.contracts import Store
from turnwise.errors import UndecodableItem
from turnwise.limits import READ_LIMIT
from turnwise.types import Absent, Duplicate, History


class Reader:
    """Reads sessions of one store, moving only what the cache does not have."""

    def __init__(self, store: Store, codec: Codec, cache: Cache) -> None:
        self._store = store
        self._codec = codec
        self.cache = cache

    async def items(self, session_id: str, limit: int | None, *, raw: bool = False) -> list[Item]:
        """The caller's own copies of all items or the last ones, if not `raw` without halves."""
        last = None if limit is None or limit < 0 else limit
        if raw:
            return (await self._copies(session_id, last))[0]
        return await whole_items(partial(self._copies, session_id), last)

    async def _copies(self, session_id: str, last: int | None) -> tuple[list[Item], bool]:
        snapshot = await self.snapshot(session_id, last)
        if snapshot is None:
            return [], True
        try:
            items = snapshot.copies(last)
        except DecodeError as error:
            raise await self.located(session_id, error) from None
        return items, last is None and snapshot.is_whole(items)

    async def snapshot(self, session_id: str, last: int | None) -> HistorySnapshot | None:
        """The history now, with all items or at least the `last` ones; None without a session."""
        cached = self.cache.get(session_id)
        if cached is not None and not cached.complete and (last is None or len(cached) < last):
            cached = None
        limit = None if last is None else 3 * last + 16  # each turn adds two elements to its items
        while True:
            base = cached.tip if cached is not None else None
            history = await self._store.read(session_id, base, limit)
            if isinstance(history, Absent):
                if self._store.owner is None:  # else it may be cached for its owner, or a worker
                    self.cache.drop(session_id)
                return None
            snapshot = self.absorb(session_id, history, cached)
            if snapshot.complete or (last is not None and len(snapshot) >= last):
                return snapshot
            limit = 4 * limit if limit is not None else None
            cached = None

    def absorb(
        self, session_id: str, history: History, cached: HistorySnapshot | None
    ) -> HistorySnapshot:
        """Join what the store answered to what was cached, and cache it. Raises UndecodableItem."""
        positions = [i for i, element in enumerate(history.elements) if is_item(element)]
        try:
            raw = self._codec.raw_many([history.elements[i] for i in positions])
            snapshot = self._joined(history, cached, raw)
        except DecodeError as error:
            self.cache.drop(session_id)
            position = history.start + positions[error.index or 0]
            raise _undecodable(session_id, position, error) from None
        if snapshot.complete and len(snapshot) != history.items:
            self.cache.drop(session_id)
            raise _undecodable(session_id, _misfit(history), "its first byte is damaged")
        self.cache.put(session_id, snapshot)
        return snapshot

    def _joined(
        self, history: History, cached: HistorySnapshot | None, raw: list[bytes]
    ) -> HistorySnapshot:
        if history.follows and cached is not None:
            return cached.extended(history.tip, raw) if cached.tip != history.tip else cached
        complete = history.start == 0
        return HistorySnapshot(
            self._codec, history.incarnation, history.tip, raw, complete=complete
        )

    async def added(self, session_id: str, duplicate: Duplicate) -> list[Item]:
        """The items that a committed turn added and the history still has."""
        elements: Sequence[bytes] = duplicate.elements
        if len(elements) >= READ_LIMIT:
            history = await self._store.read(session_id)
            before = history.elements[: duplicate.end] if isinstance(history, History) else []
            first = len(before)
            while first > 0 and is_item(before[first - 1]):
                first -= 1
            elements = before[first:]
        try:
            return self._codec.decode_many(elements)
        except DecodeError as error:
            raise await self.located(session_id, error) from None

    async def before(
        self, session_id: str, end: int, last: int | None, later: Sequence[Item]
    ) -> list[Item]:
        """The items before a position, or the `last` of them, as `later` items followed them.

        They are the caller's own, without halves of pairs.
        """
        history = await self._store.read(session_id)
        elements = history.elements[:end] if isinstance(history, History) else []
        raw = [element for element in elements if is_item(element)]

        async def read(last: int | None) -> tuple[list[Item], bool]:
            return self._codec.decode_many(raw if last is None else raw[-last:]), False

        try:
            return await whole_items(read, last, later)
        except DecodeError as error:
            raise await self.located(session_id, error) from None

    async def located(self, session_id: str, error: DecodeError) -> Exception:
        """The error that names the first item which cannot be decoded."""
        history = await self._store.read(session_id)
        elements = history.elements if isinstance(history, History) else []
        for position, element in enumerate(elements):
            if is_item(element) and (reason := self._reason(element)) is not None:
                return _undecodable(session_id, position, reason)
        return error

    def _reason(self, element: bytes) -> DecodeError | None:
        try:
            self._codec.decode(element)
        except DecodeError as error:
            return error
        return None


async def whole_items(
    read: Callable[[int | None], Awaitable[tuple[list[Item], bool]]],
    last: int | None,
    later: Sequence[Item] = (),
) -> list[Item]:
    """All items or the last ones, without halves of pairs.

    Args:
        read: returns all items or at least the last ones, and whether they are known to be whole.
        last: how many items are wanted; None for all.
        later: what will follow them.
    """
    if last is None:
        items, whole = await read(None)
        return items if whole else paired(items, later=later)
    more = 1
    while last > 0:
        items, _ = await read(last + more)
        first = max(0, len(items) - last)
        if first < more or not is_undecided(items, first):
            return paired(items, first, later)
        more *= 8
    return []


def _misfit(history: History) -> int:
    """The position of the first element that is not an item, nor a marker with its record."""
    expected = MARKER
    for position, element in enumerate(history.elements, history.start):
        if is_item(element) and expected == MARKER:
            continue
        if element[:1] != expected:
            return position - (expected == RECORD)
        expected = RECORD if expected == MARKER else MARKER
    return history.start + len(history.elements)


def _undecodable(session_id: str, position: int, reason: Any) -> UndecodableItem:
    return UndecodableItem(
        f"the item at position {position} of its stored history cannot be decoded ({reason}). It "
        "was left unchanged: repair or remove it, or read it with the version that wrote it",
        session_id=session_id,
        position=position,
    )
