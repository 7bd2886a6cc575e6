"""What the open turn has finished so far, kept in the store for the next attempt."""

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
    """The open turn's journal. Tasks may write at the same time: one call takes what has come in.

    Attributes:
        entries: What earlier attempts left, oldest first; empty in a first attempt.
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
        self._length = length  # of the stored one, also where that could not be decoded
        self._batch: list[bytes] = []
        self._lock = asyncio.Lock()
        self._unconfirmed: list[list[bytes]] = []
        self._failure: TurnwiseError | None = None

    @property
    def was_used(self) -> bool:
        """Whether it holds anything, or may."""
        return self._length > 0 or bool(self._unconfirmed)

    async def write(self, *entries: Entry) -> None:
        """Return when the entries are in the store, and all that others had begun to write.

        After a failure the store lacks something, or nobody knows, so each later write fails too.

        Raises:
            LeaseLost, SessionGone, TurnCancelled: the turn was lost.
            TurnTooLarge: an entry is too large to be read again.
            StoreError: the store did not answer, or refused.
        """
        batch = self._batch
        batch += self._encoded(entries)
        async with self._lock:
            if batch is self._batch:
                self._batch = []
                if batch:
                    self._unconfirmed.append(batch)
            # Else another writer has taken it along, and may have been cancelled before its answer.
            if self._failure is None:
                await self._confirm()
        if self._failure is not None:
            raise self._failure

    def _encoded(self, entries: Sequence[Entry]) -> list[bytes]:
        try:
            return [encode_entry(self._codec, entry) for entry in entries]
        except EncodeError as error:
            session_id, turn_id = self._names
            self._failure = TurnTooLarge(
                f"a step of turn {turn_id!r} cannot be journaled ({error}), so the turn cannot "
                "continue. Let its models and tools return less, or refer to large content",
                session_id=session_id,
            )
            raise self._failure from None

    async def _confirm(self) -> None:
        """Send what has no answer yet: again at its own index, so that it is stored once."""
        try:
            while self._unconfirmed:
                await self._append(self._unconfirmed[0])
                del self._unconfirmed[0]
        except TurnwiseError as error:
            self._failure = error

    async def _append(self, batch: list[bytes]) -> None:
        answer = await self._send(self._length, batch)
        if not isinstance(answer, Done):
            raise await self._refused(answer)
        self._length += len(batch)
