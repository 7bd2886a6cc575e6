"""A conversation's items and metadata."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal

Item = dict[str, Any]


class History:
    """One conversation.

    A session has no place for metadata, so those of a conversation are the only item of a session
    beside it, if there are any.
    """

    def __init__(self, gateway: Gateway, principal: Principal, session_id: str) -> None:
        self._gateway = gateway
        self._principal = principal
        self._stored = gateway.stored(principal)
        self.session_id = session_id

    @property
    def _beside(self) -> str:
        return f"{self.session_id}:metadata"

    async def create(self, items: list[Item], metadata: Mapping[str, str] | None) -> None:
        """Make the session, also without items. Twice at once makes it once."""
        turn_id = f"{self.session_id} created"
        if metadata:  # first: where the session is there, all is
            await self._stored.add_turn(self._beside, turn_id, [_note(metadata)])
        await self._stored.add_turn(self.session_id, turn_id, items)

    async def delete(self) -> None:
        """Delete all there is of it."""
        await self._gateway.delete(self._principal, self.session_id)
        await self._gateway.delete(self._principal, self._beside)

    async def metadata(self) -> Mapping[str, str]:
        """What the client noted of it."""
        found = await self._stored.items(self._beside)
        return found[-1].get("metadata", {}) if found else {}

    async def set_metadata(self, metadata: Mapping[str, str]) -> None:
        """Replace what the client noted of it."""
        await self._stored.add_turn(self._beside, None, [_note(metadata)], replaces=True)

    async def items(self) -> list[Item]:
        """All items, the oldest first, as they are stored."""
        return await self._stored.items(self.session_id)

    async def add(self, items: list[Item]) -> int:
        """Add items at the end. Returns the place of the first of them."""
        await self._stored.add_items(self.session_id, items)
        info = await self._gateway.info(self._principal, self.session_id)
        return max(0, (info.items if info is not None else len(items)) - len(items))

    async def remove(self, place_in: Callable[[list[Item]], int]) -> None:
        """Remove the item at the place that the function says."""
        await self._stored.remove_item(self.session_id, place_in)


def _note(metadata: Mapping[str, str]) -> Item:
    return {"type": "conversation", "metadata": dict(metadata)}
