"""What the running turn has finished so far, kept in the store for whoever may take it over."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

from turnwise.codec import Codec
from turnwise.errors import TurnwiseError
from turnwise.journal_entries import Entry, decode_entries, encode_entry
from turnwise.types import Done, Gone, Stale

Send = Callable[[int, Sequence[bytes]], Coroutine[Any, Any, Done | Stale | Gone]]


class Journal:
    """`entries` is what earlier attempts left, oldest first; empty in a first one.

    Tasks may write at the same time: what comes in while a call is under way goes with the next.
    """

    def __init__(
        self,
        codec: Codec,
        stored: Sequence[bytes],
        send: Send,
        refused: Callable[[Stale | Gone], Awaitable[TurnwiseError]],
    ) -> None:
        self.entries = decode_entries(codec, stored)
        self._codec = codec
        self._send = send
        self._refused = refused
        self._length = len(stored)
        self._batch: list[bytes] = []
        self._lock = asyncio.Lock()
        self._doubtful: list[list[bytes]] = []
        self._failure: TurnwiseError | None = None

    @property
    def was_used(self) -> bool:
        """Whether there is something in it, or may be."""
        return self._length > 0 or bool(self._doubtful)

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are in the store. Raises LeaseLost, SessionGone, StoreError.

        After a failure it is not known what the store has, so every later write fails as well.
        """
        batch = self._batch
        batch += [encode_entry(self._codec, entry) for entry in entries]
        async with self._lock:
            if batch is self._batch:
                self._batch = []
                await self._write(batch)
        if self._failure is not None:
            raise self._failure

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
