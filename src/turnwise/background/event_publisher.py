"""What a running turn tells its readers: events, as JSON, in small batches."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from agents import (
    AgentUpdatedStreamEvent,
    RawResponsesStreamEvent,
    RunItemStreamEvent,
    StreamEvent,
)

from turnwise.codec import EncodeError
from turnwise.durable import to_json
from turnwise.errors import StoreError
from turnwise.turns import Runtime

_PAUSE = 0.025
_AT_ONCE = 256
_log = logging.getLogger("turnwise")

Told = dict[str, Any]


def of_stream(event: StreamEvent) -> Told:
    """An event of the SDK's stream, by the names that it has there."""
    if isinstance(event, RawResponsesStreamEvent):
        return {"type": event.type, "data": to_json(event.data)}
    if isinstance(event, RunItemStreamEvent):
        item = event.item
        told = {"type": item.type, "agent": item.agent.name, "raw_item": to_json(item.raw_item)}
        return {"type": event.type, "name": event.name, "item": told}
    assert isinstance(event, AgentUpdatedStreamEvent)
    return {"type": event.type, "new_agent": event.new_agent.name}


class EventPublisher:
    """One attempt of a turn tells its events, in order; what cannot be told is left out.

    Events are for who watches, so a store that does not take them does not end the turn. The first
    event has the number `first`.
    """

    def __init__(
        self, runtime: Runtime, session_id: str, turn_id: str, attempt: int, first: int = 0
    ) -> None:
        self._runtime = runtime
        self._names = session_id, turn_id, attempt
        self._pending: list[bytes] = []
        self._next = first
        self._is_heard = True
        self._flushing: asyncio.Task[None] | None = None

    @property
    def place(self) -> tuple[int, int]:
        """The attempt, and the number of the event that is told next."""
        return self._names[2], self._next + len(self._pending)

    async def tell(self, event: Told) -> None:
        """Tell it soon; waits only while many wait to be told."""
        self.note(event)
        if len(self._pending) >= _AT_ONCE and self._flushing is not None:
            await asyncio.wait({self._flushing})

    def note(self, event: Told) -> None:
        """Tell it soon, without waiting."""
        try:
            self._pending.append(self._runtime.codec.encode(event))
        except EncodeError as error:  # a model of the application's own may tell what is not JSON
            _log.warning("an event of type %s was not told: %s", event.get("type"), error)
            return
        if self._flushing is None or self._flushing.done():
            self._flushing = asyncio.create_task(self._soon(), name="turnwise-events")

    async def end(self, event: Told | None = None, *, last: bool = False) -> None:
        """Tell everything that is left, and `event` behind it. `last`: nothing will follow."""
        await self.stop()
        if event is not None:
            self._pending.append(self._runtime.codec.encode(event))
        if self._pending or last:
            await self._send(last=last)

    async def stop(self) -> None:
        """Tell nothing any more; what is left then stays untold, unless this is ended."""
        if self._flushing is not None:
            self._flushing.cancel()
            await asyncio.wait({self._flushing})

    async def _soon(self) -> None:
        await asyncio.sleep(_PAUSE)
        while self._pending:
            await self._send(last=False)

    async def _send(self, *, last: bool) -> None:
        batch = list(self._pending)
        try:
            if self._is_heard:
                self._is_heard = await self._runtime.store.events.append(
                    *self._names, self._next, batch, last=last
                )
        except StoreError as error:
            _log.warning("events of turn %r were not told: %s", self._names[1], error)
        # Cancelled before this, they are sent again with the same numbers, and added once.
        del self._pending[: len(batch)]
        self._next += len(batch)
