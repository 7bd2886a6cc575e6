"""What the store has of single turns and items, for wires that show them one by one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

from turnwise.errors import AlreadyCommitted
from turnwise.fleet import EndedTurn
from turnwise.fleet.ended_turns import (
    Event,
    Item,
    ended_turn,
    events_so_far,
    items_before,
    times_parked,
)
from turnwise.fleet.item_removal import remove_item
from turnwise.session import Session


class Stored:
    """The turns and items of one principal's sessions; `Gateway.stored` makes it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._runtime = session.runtime

    async def ended(self, session_id: str, turn_id: str) -> EndedTurn | None:
        """The turn, if it has ended and the history still has it, however long ago."""
        return await ended_turn(self._runtime, session_id, turn_id)

    async def times_parked(self, session_id: str, turn_id: str) -> int:
        """How often the turn was parked so far, as far as it is known."""
        return await times_parked(self._runtime, session_id, turn_id)

    def events_so_far(self, session_id: str, turn_id: str) -> AsyncIterator[tuple[str, Event]]:
        """The turn's events that were published, without waiting for more."""
        return events_so_far(self._runtime, session_id, turn_id)

    async def items(self, session_id: str) -> list[Item]:
        """All items, the oldest first, as they are stored."""
        found: list[Item] = await self._runtime.reader.items(session_id, None, raw=True)
        return found

    async def items_before(self, session_id: str, turn_id: str) -> list[Item]:
        """The items before those of a turn; all of them if the history does not have the turn."""
        return await items_before(self._runtime, session_id, turn_id)

    async def add_items(self, session_id: str, items: list[Item]) -> None:
        """Add items at the end: see `Session.add_items`."""
        await self._session.bind(session_id).add_items(items)  # type: ignore[arg-type]  # JSON

    async def add_turn(
        self, session_id: str, turn_id: str | None, items: list[Item], *, replaces: bool = False
    ) -> None:
        """Commit a turn that adds these items, or none; once for each turn_id.

        Args:
            session_id: The session; it is created if there is none.
            turn_id: Names the turn; None for a new one.
            items: What it adds.
            replaces: Whether they take the place of all that there is.
        """
        try:
            async with self._session.turn(session_id, turn_id=turn_id) as turn:
                if replaces:
                    await turn.clear_session()
                await turn.add_items(items)  # type: ignore[arg-type]  # JSON
        except AlreadyCommitted:
            pass

    async def remove_item(self, session_id: str, place_in: Callable[[list[Item]], int]) -> None:
        """Remove the item at the place that the function says of all items."""
        await remove_item(self._runtime, session_id, place_in)

    async def expire(self, session_id: str, ttl_ms: int) -> None:
        """Let the session go after `ttl_ms`, whatever becomes of this process."""
        await self._runtime.store.expire(session_id, ttl_ms)

    async def forget(self, session_id: str) -> None:
        """Delete a session that nobody was to keep, and leave no record of an action."""
        await self._runtime.store.delete(session_id)
