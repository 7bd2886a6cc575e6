"""A conversation's items and metadata in the store."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from turnwise.codec.elements import is_item
from turnwise.errors import HistoryChanged, StoreUnavailable
from turnwise.fleet.copies import check_done
from turnwise.session import Session
from turnwise.turns import mint, resend_if_cancelled, unknown_change
from turnwise.types import Absent, Stale

Item = dict[str, Any]
_ATTEMPTS = 5


class History:
    """One conversation.

    A session has no place for metadata, so those of a conversation are the only item of a session
    beside it, if there are any.
    """

    def __init__(self, session: Session, session_id: str) -> None:
        self._session = session
        self.session_id = session_id

    @property
    def _beside(self) -> str:
        return f"{self.session_id}:metadata"

    async def create(self, items: list[Item]) -> None:
        """Make the session, also without items."""
        async with self._session.turn(
            self.session_id, turn_id=f"{self.session_id} created"
        ) as turn:
            await turn.add_items(items)  # type: ignore[arg-type]  # the client's items, checked

    async def delete(self) -> None:
        """Delete all there is of it."""
        await self._session.delete(self.session_id)
        await self._session.delete(self._beside)

    async def metadata(self) -> Mapping[str, str]:
        """What the client noted of it."""
        found = await self._items_of(self._beside)
        return found[-1].get("metadata", {}) if found else {}

    async def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Replace what the client noted of it."""
        note: Any = {"type": "conversation", "metadata": dict(metadata)}
        async with self._session.turn(self._beside) as turn:
            await turn.clear_session()
            await turn.add_items([note])

    async def items(self) -> list[Item]:
        """All items, the oldest first, as they are stored."""
        return await self._items_of(self.session_id)

    async def add(self, items: list[Item]) -> int:
        """Add items at the end. Returns the place of the first of them."""
        await self._session.bind(self.session_id).add_items(items)  # type: ignore[arg-type]  # likewise
        info = await self._session.info(self.session_id)
        return max(0, (info.items if info is not None else len(items)) - len(items))

    async def remove(self, place_in: Callable[[list[Item]], int]) -> None:
        """Remove the item at the place that the function says."""
        runtime = self._session.runtime
        for _ in range(_ATTEMPTS):
            history = await runtime.store.read(self.session_id)
            if isinstance(history, Absent):
                return
            elements = [element for element in history.elements if is_item(element)]
            place = place_in(runtime.codec.decode_many(elements))
            base, rest = history.tip, elements[place + 1 :]
            replace = partial(runtime.store.replace, self.session_id, mint(), base, place, rest)
            try:
                answer = await resend_if_cancelled(replace)
            except StoreUnavailable as error:
                raise unknown_change(self.session_id, error) from error
            runtime.reader.cache.drop(self.session_id)
            if not isinstance(answer, Stale | Absent):
                check_done(self.session_id, answer)
                return
        raise HistoryChanged("its history changes all the time", session_id=self.session_id)

    async def _items_of(self, session_id: str) -> list[Item]:
        found: list[Item] = await self._session.runtime.reader.items(session_id, None, raw=True)
        return found
