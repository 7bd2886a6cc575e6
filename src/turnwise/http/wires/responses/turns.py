"""The turns behind responses: what this wire alone asks of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from turnwise.background import Status
from turnwise.fleet import EndedTurn, PastTurn
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.stored import Parking
from turnwise.http.wires.responses.items import Item, digest

ECHO = "response"
"""What a message's metadata say of the request, under this name."""
EPHEMERAL_MS = 3_600_000
"""How long a session that nobody is to keep stays, if nobody deletes it."""
_QUEUE = 256
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Sent:
    """A message that waits in its session's queue, or whose turn is open."""

    input: list[Item]
    metadata: Mapping[str, Any]


class Turns:
    """The turns of one principal's sessions."""

    def __init__(self, gateway: Gateway, principal: Principal) -> None:
        self._gateway = gateway
        self._principal = principal
        self._stored = gateway.stored(principal)

    async def status(self, session_id: str, turn_id: str) -> Status:
        """What has become of a turn; of one of a session that is not this principal's: nothing."""
        return await self._gateway.status(self._principal, session_id, turn_id)

    async def sent(self, session_id: str, turn_id: str) -> Sent | None:
        """The turn's message, as long as the turn has not ended."""
        for entry in await self._gateway.waiting(self._principal, session_id, _QUEUE):
            if entry.turn_id == turn_id:
                said = entry.input
                items = [{"role": "user", "content": said}] if isinstance(said, str) else said
                return Sent(items, entry.metadata)
        return None

    async def ended(self, session_id: str, turn_id: str) -> EndedTurn | None:
        """The turn, if it has ended and the history still has it, however long ago."""
        return await self._stored.ended(session_id, turn_id)

    async def times_parked(self, session_id: str, turn_id: str) -> int:
        """How often the turn was parked so far, as far as it is known."""
        return await self._stored.times_parked(session_id, turn_id)

    async def parking(self, session_id: str, turn_id: str) -> Parking | None:
        """How the turn was parked last; None if it never was, or is not open any more."""
        return await self._stored.parking(session_id, turn_id)

    async def last(self, session_id: str, count: int) -> list[PastTurn]:
        """The last `count` turns of the history, the oldest first."""
        return await self._stored.last_turns(session_id, count)

    def events_so_far(self, session_id: str, turn_id: str) -> AsyncIterator[tuple[str, Event]]:
        """The events that were published, without waiting for more."""
        return self._stored.events_so_far(session_id, turn_id)

    async def items_before(self, session_id: str, turn_id: str) -> list[Item]:
        """All items of a session before a turn's, as they are stored."""
        return await self._stored.items_before(session_id, turn_id)

    async def is_only(self, session_id: str) -> bool:
        """Whether the session has one turn, and nothing else waits or runs in it."""
        info = await self._gateway.info(self._principal, session_id)
        return info is not None and info.turns == 1 and not info.queued and not info.open_turn

    async def begin_ephemeral(self, session_id: str) -> None:
        """Make a session that goes away by itself, before anything is put into it.

        Raises:
            HTTPException: 429: it is one more session than the principal's quota.
        """
        await self._gateway.admit_items(self._principal, session_id, [])
        await self._stored.begin(session_id)
        await self.expire(session_id)

    async def expire(self, session_id: str) -> None:
        """Let the session go in `EPHEMERAL_MS`, should this process die before it forgets it."""
        await self._stored.expire(session_id, EPHEMERAL_MS)

    async def forget(self, session_id: str) -> None:
        """Delete a session that was not to be stored."""
        await self._stored.forget(session_id)

    async def is_marked(self, session_id: str, turn_id: str, part: int, *, old: bool) -> bool:
        """Whether the response was deleted. `old`: its turn is older than the retention."""
        mark = _mark(turn_id, part)
        if old:
            return await self.ended(session_id, mark) is not None
        return (await self.status(session_id, mark)).state == "committed"

    async def mark(self, session_id: str, turn_id: str, part: int) -> None:
        """Note that the response is deleted, by a turn that adds nothing."""
        await self._stored.add_turn(session_id, _mark(turn_id, part), [])


def _mark(turn_id: str, part: int) -> str:
    return f"deleted:{digest(turn_id, part)}"
