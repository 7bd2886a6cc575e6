"""The history as one turn sees it: what was there at its begin, and what it added since."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any

from turnwise.cache import HistorySnapshot, Item
from turnwise.codec import DecodeError
from turnwise.errors import StoreUnavailable, TurnError
from turnwise.turns import errors
from turnwise.turns.runtime import Runtime
from turnwise.types import Base, Gone, Grant, Stale

Lost = TurnError | StoreUnavailable
Mark = tuple[int, list[bytes], int]

_log = logging.getLogger("turnwise")

_ENDING = 2
"""Elements that end a turn in the stored history: its marker and its record."""


class TurnBuffer(ABC):
    """Reading and changing, in this turn only: nothing is written. `changes` counts additions."""

    def __init__(
        self, runtime: Runtime, session_id: str, grant: Grant, past: HistorySnapshot | None
    ) -> None:
        self.session_id = session_id
        self.turn_id = grant.turn_id
        self.changes = 0
        self._runtime = runtime
        self._grant = grant
        self._past = past
        self._kept = grant.items
        self._added: list[bytes] = []
        self._added_bytes = 0

    @abstractmethod
    async def check(self) -> None:
        """Return if the turn is still this worker's; raise what ended it if not."""

    @abstractmethod
    def _lose(self, error: Lost) -> Lost:
        """The turn was ended from outside, by this error."""

    async def items(self, last: int | None = None, *, shared: bool = False) -> list[Item]:
        """All items, or the last ones, as they are (halves of pairs too).

        They are the caller's own, or with `shared` those of the cache: to be read only.
        """
        await self.check()
        while not self._knows(before := self._wanted(last)):
            await self._load(before)
        # No await from here on: these are the items of one moment, and `pop` takes what it got.
        added = self._added if last is None else self._added[max(0, len(self._added) - last) :]
        try:
            return self._before(before, shared) + self._runtime.codec.decode_many(added)
        except DecodeError as error:
            raise await self._runtime.reader.located(self.session_id, error) from None

    async def add(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Add items at the end. Raises InvalidItem, ItemTooLarge, TurnTooLarge: none is added."""
        await self.check()
        texts = self._runtime.writer.texts(self.session_id, items, self._added_bytes)
        self.changes += 1
        self._added += texts
        self._added_bytes += sum(map(len, texts))

    async def pop(self) -> Item | None:
        """Take away the last item, and return it; None if there is none."""
        last = await self.items(1)
        if self._added:
            self._added_bytes -= len(self._added.pop())
        elif last:
            self._kept -= 1
        return last[0] if last else None

    async def clear(self) -> None:
        """Take away all items."""
        await self.check()
        self._kept, self._added, self._added_bytes = 0, [], 0

    def added(self) -> list[Item]:
        """The items that this turn has added so far; the caller's own."""
        return self._runtime.codec.decode_many(self._added)

    def mark(self) -> Mark:
        """What this turn holds now, for `rewind`."""
        return self._kept, list(self._added), self._added_bytes

    def rewind(self, mark: Mark) -> None:
        """Hold again what the turn held then."""
        self._kept, added, self._added_bytes = mark
        self._added = list(added)

    def _wanted(self, last: int | None) -> int:
        """How many of the turn's `last` items are from the history before it."""
        return self._kept if last is None else min(max(0, last - len(self._added)), self._kept)

    def _knows(self, before: int) -> bool:
        """Whether that many of the kept items are here, behind which some may have been dropped."""
        past = self._past
        return before == 0 or (
            past is not None and (past.complete or len(past) >= before + self._dropped)
        )

    async def _load(self, before: int) -> None:
        """Read the history at the turn's begin, that far back at least."""
        wanted = before + self._dropped
        past = await self._runtime.reader.past(
            self.session_id, None if wanted == self._grant.items else wanted
        )
        if past is None:
            raise self._lose(errors.gone(self.session_id, self.turn_id))
        if past.tip != self._grant.tip:
            stale = Stale(
                past.incarnation, history_changed=past.incarnation == self._grant.incarnation
            )
            raise self._lose(self._not_ours(stale))
        self._past = past

    def _before(self, last: int, shared: bool) -> list[Item]:
        """The last items of the history before this turn, as far as this turn kept them."""
        past = self._past
        if last == 0 or past is None:
            return []
        if shared and past.complete:
            return past.items()[self._kept - last : self._kept]
        return past.copies(last + self._dropped)[:last]

    @property
    def _dropped(self) -> int:
        return self._grant.items - self._kept

    def _not_ours(self, answer: Stale | Gone) -> TurnError:
        if isinstance(answer, Gone):
            return errors.gone(self.session_id, self.turn_id)
        return errors.not_ours(self.session_id, self.turn_id, self._grant.incarnation, answer)

    def _remember(self, tip: Base) -> None:
        """Unless the commit was answered late, and something before it had been taken away by then.

        It then stands nearer to the beginning than where this turn's history ended. The turn is
        committed by now, so what goes wrong in the cache is nobody's error.
        """
        try:
            self._cache(tip)
        except Exception as error:
            names = self.session_id, errors.shown(error)
            _log.warning("the history of session %r was not cached: %s", *names)
            self._runtime.reader.cache.drop(self.session_id)

    def _cache(self, tip: Base) -> None:
        if tip.position != self._grant.tip.position + len(self._added) + _ENDING:
            return
        past = self._past
        if past is None and self._grant.items == 0:
            past = HistorySnapshot(
                self._runtime.codec, self._grant.incarnation, self._grant.tip, []
            )
        if past is not None:
            self._runtime.reader.cache.put(self.session_id, past.extended(tip, self._added))
