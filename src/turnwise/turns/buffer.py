"""The history as one turn sees it: what was there when it began, and what it has added since."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnwise.cache import HistorySnapshot, Item
from turnwise.codec import DecodeError, weight
from turnwise.errors import StoreUnavailable, TurnError
from turnwise.turns import errors
from turnwise.turns.reading import whole_items
from turnwise.turns.runtime import Runtime
from turnwise.types import Base, Gone, Grant, Stale

Lost = TurnError | StoreUnavailable
_log = logging.getLogger("turnwise")

_END_ELEMENTS = 2
"""Elements that end a turn in the stored history: its marker and its record."""


@dataclass(frozen=True, slots=True)
class Savepoint:
    """What a turn's buffer held: the first `kept` items of before the turn, and `added` (raw)."""

    kept: int
    added: tuple[bytes, ...] = ()


class TurnBuffer(ABC):
    """What the turn reads, adds and removes. Nothing is written before its commit.

    Attributes:
        names: The session_id and the turn_id.
        grant: What the store answered when the turn began.
        kept: How many items of the history before the turn it has not removed.
        added_raw: The items that it has added, raw.
        changes: How often items were added.
    """

    def __init__(
        self, runtime: Runtime, session_id: str, grant: Grant, snapshot: HistorySnapshot | None
    ) -> None:
        self.runtime = runtime
        self.session_id = session_id
        self.turn_id = grant.turn_id
        self.names = session_id, grant.turn_id
        self.grant = grant
        self.kept = grant.items
        self.added_raw: list[bytes] = []
        self.changes = 0
        self._added_bytes = 0
        self._snapshot = snapshot

    @property
    def keep(self) -> int | None:
        """How many items of the history before the turn its commit keeps; None for all."""
        return self.kept if self.kept < self.grant.items else None

    @abstractmethod
    async def check(self) -> None:
        """Return if this worker still holds the turn; raise what ended it if not."""

    @abstractmethod
    def _lose(self, error: Lost) -> Lost:
        """The turn was ended from outside, by this error."""

    async def items(self, last: int | None = None, *, shared: bool = False) -> list[Item]:
        """All items, or the last ones, halves of pairs included.

        They are the caller's own, or with `shared` the cache's own, to be read only.
        """
        await self.check()
        while not self._has(before := self._wanted(last)):
            await self._load(before)
        # No await from here on: these are the items of one moment, and `pop` removes what it got.
        added = (
            self.added_raw if last is None else self.added_raw[max(0, len(self.added_raw) - last) :]
        )
        try:
            return self._before(before, shared) + self.runtime.codec.decode_many(added)
        except DecodeError as error:
            raise await self.runtime.reader.located(self.session_id, error) from None

    async def given(
        self, last: int | None, later: Sequence[Item], *, shared: bool = False
    ) -> list[Item]:
        """The items without halves of pairs, for a run that begins with the items `later`.

        A call may find its output there. The other arguments are as for `items`.
        """

        async def read(last: int | None) -> tuple[list[Item], bool]:
            items = await self.items(last, shared=shared)
            is_past = last is None and self.keep is None and not self.added_raw
            snapshot = self._snapshot if is_past else None
            known = snapshot is not None and snapshot.complete and snapshot.is_whole(items)
            return items, known

        return await whole_items(read, last, later)

    def check_can_add(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Raise what `add` would raise for these items, or SessionTooLarge if no commit takes them.

        With none, whether what the turn has added can be committed.
        """
        raw = self.runtime.raw(self.session_id, items, before=self._added_bytes)
        if self.keep is not None:  # only the store knows how much room that makes
            return
        limit = self.grant.max_bytes
        room = max(0, limit - self.grant.bytes)
        if self._added_bytes + sum(map(len, raw)) > room:
            pack = self.runtime.codec.pack
            if sum(weight(pack(element)) for element in (*self.added_raw, *raw)) > room:
                raise errors.session_too_large(self.session_id, limit)

    async def add(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add items at the end. Raises InvalidItem, ItemTooLarge, TurnTooLarge: none is added."""
        await self.check()
        raw = self.runtime.raw(self.session_id, items, before=self._added_bytes)
        self.changes += 1
        self.added_raw += raw
        self._added_bytes += sum(map(len, raw))

    async def pop(self) -> Item | None:
        """Remove the last item and return it; None if there is none."""
        last = await self.items(1)
        if self.added_raw:
            self._added_bytes -= len(self.added_raw.pop())
        elif last:
            self.kept -= 1
        return last[0] if last else None

    async def clear(self) -> None:
        """Remove all items."""
        await self.check()
        self.kept, self.added_raw, self._added_bytes = 0, [], 0

    def loaded(self, last: int | None) -> list[Item]:
        """The `last` items of before the turn, as far as a run has read them; to be read only."""
        count = self.kept if last is None else min(last, self.kept)
        return self._before(count, shared=True) if self._has(count) else []

    def added(self) -> list[Item]:
        """The items that this turn has added so far; the caller's own."""
        return self.runtime.codec.decode_many(self.added_raw)

    def savepoint(self) -> Savepoint:
        """What the buffer holds now."""
        return Savepoint(self.kept, tuple(self.added_raw))

    def restore(self, savepoint: Savepoint) -> None:
        """Let the buffer hold what it held at the savepoint."""
        self.kept, self.added_raw = savepoint.kept, list(savepoint.added)
        self._added_bytes = sum(map(len, self.added_raw))

    def remember(self, tip: Base) -> None:
        """Put the history into the cache as this turn's commit, named by `tip`, has left it.

        Not if the commit was answered late, after something before it had been removed: then it
        stands nearer to the beginning than this turn's history ended. Never raises: the turn
        is committed.
        """
        grant, snapshot, cache = self.grant, self._snapshot, self.runtime.reader.cache
        if tip.position != grant.tip.position + len(self.added_raw) + _END_ELEMENTS:
            return
        try:
            if snapshot is None and grant.items == 0:
                snapshot = HistorySnapshot(self.runtime.codec, grant.incarnation, grant.tip, [])
            if snapshot is not None:
                cache.put(self.session_id, snapshot.extended(tip, self.added_raw))
        except Exception as error:
            shown = errors.shown(error)
            _log.warning("the history of session %r was not cached: %s", self.session_id, shown)
            cache.drop(self.session_id)

    def _wanted(self, last: int | None) -> int:
        """How many of the turn's `last` items are from the history before it."""
        return self.kept if last is None else min(max(0, last - len(self.added_raw)), self.kept)

    def _has(self, before: int) -> bool:
        """Whether the snapshot holds the last `before` of the kept items."""
        snapshot = self._snapshot
        return before == 0 or (
            snapshot is not None and (snapshot.complete or len(snapshot) >= before + self._removed)
        )

    async def _load(self, before: int) -> None:
        """Read the history at the turn's begin, at least as far back."""
        wanted = before + self._removed
        snapshot = await self.runtime.reader.snapshot(
            self.session_id, None if wanted == self.grant.items else wanted
        )
        if snapshot is None:
            raise self._lose(errors.gone(*self.names))
        if snapshot.tip != self.grant.tip:
            changed = snapshot.incarnation == self.grant.incarnation
            stale = Stale(snapshot.incarnation, history_changed=changed)
            raise self._lose(self._lost_by(stale))
        self._snapshot = snapshot

    def _before(self, last: int, shared: bool) -> list[Item]:
        """The last `last` of the kept items."""
        snapshot = self._snapshot
        if last == 0 or snapshot is None:
            return []
        if shared and snapshot.complete:
            return snapshot.items()[self.kept - last : self.kept]
        return snapshot.copies(last + self._removed)[:last]

    @property
    def _removed(self) -> int:
        """How many items of the history before the turn it has removed, the last ones."""
        return self.grant.items - self.kept

    def _lost_by(self, answer: Stale | Gone) -> TurnError:
        """The error for an answer that says that this worker does not hold the turn any more."""
        if isinstance(answer, Gone):
            return errors.gone(*self.names)
        return errors.lost(*self.names, self.grant.incarnation, answer)
