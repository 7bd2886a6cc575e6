"""What the running turn has finished so far, kept in the store for whoever may take it over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from turnwise.codec import Codec, EncodeError
from turnwise.errors import TurnTooLarge, TurnwiseError
from turnwise.journal_entries import Entry, encode_entry
from turnwise.types import Done, Gone, Stale

Send = Callable[[int, Sequence[bytes]], Coroutine[Any, Any, Done | Stale | Gone]]


class Journal:
    """`entries` is what earlier attempts left, oldest first; empty in a first one.

    `length` is how many elements the store has of it: more, if they could not be decoded.

    Tasks may write at the same time: what comes in while a call is under way goes with the next.
    """

    def __init__(
        self,
        codec: Codec,
        names: tuple[str, str],
        entries: list[Entry],
        length: int,
        send: Send,
        refused: Callable[[Stale | Gone], Awaitable[TurnwiseError]],
    ) -> None:
        self.entries = entries
        self._codec = codec
        self._names = names
        self._send = send
        self._refused = refused
        self._length = length
        self._batch: list[bytes] = []
        self._lock = asyncio.Lock()
        self._doubtful: list[list[bytes]] = []
        self._failure: TurnwiseError | None = None

    @property
    def was_used(self) -> bool:
        """Whether there is something in it, or may be."""
        return self._length > 0 or bool(self._doubtful)

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are in the store.

        Raises LeaseLost, SessionGone, StoreError, TurnTooLarge. After a failure the store does not
        have everything, or nobody knows, so every later write fails as well.
        """
        batch = self._batch
        batch += self._encoded(entries)
        async with self._lock:
            if batch is self._batch:
                self._batch = []
                await self._write(batch)
        if self._failure is not None:
            raise self._failure

    def _encoded(self, entries: Sequence[Entry]) -> list[bytes]:
        try:
            return [encode_entry(self._codec, entry) for entry in entries]
        except EncodeError as error:
            session_id, turn_id = self._names
            self._failure = TurnTooLarge(
                f"a step of turn {turn_id!r} cannot be kept in its journal ({error}), so the turn "
                "cannot go on. Let its models and tools return less, or refer to large content",
                session_id=session_id,
            )
            raise self._failure from None

    async def _write(self, batch: list[bytes]) -> None:
        try:
            # What a cancelled writer left in doubt goes first, and again at its own place.
            while self._doubtful:
                await self._place(self._doubtful[0])
                del self._doubtful[0]
            self._doubtful.append(batch)
            await self._place(batch)
            self._doubtful.clear()
        except TurnwiseError as error:
            self._failure = error

    async def _place(self, batch: list[bytes]) -> None:
        if self._failure is None:
            answer = await self._send(self._length, batch)
            if not isinstance(answer, Done):
                raise await self._refused(answer)
            self._length += len(batch)
