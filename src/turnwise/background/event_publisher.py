"""What a running turn publishes for those who follow it: events, as JSON, in small batches."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict
from typing import Any

from agents import (
    AgentUpdatedStreamEvent,
    RawResponsesStreamEvent,
    RunItem,
    RunItemStreamEvent,
    StreamEvent,
)

from turnwise.codec import EncodeError
from turnwise.durable import to_json
from turnwise.durable.sdk import item_events
from turnwise.errors import LeaseLost, SessionGone, StoreError, StoreUnavailable, TurnCancelled
from turnwise.journal_entries import ParkedEntry
from turnwise.printable import printable
from turnwise.stores.event_log import event_id, parse_event_id
from turnwise.turns import Commit, Park, Runtime, Turn

OTHERS_MAY_CONTINUE = (LeaseLost, SessionGone, StoreUnavailable)
"""Errors after which this process does not know how the turn ends: another one may run it."""

_BATCH_PAUSE = 0.02
"""Seconds between two appends; no event is held back for longer."""
_CLOSING = 0.1
"""Seconds that an append may take before the end of its turn's events cancels it."""
_MAX_UNSENT = 256
"""Events that wait, or go out in one append."""
_RESEND_PAUSE = 1.0
"""Seconds until events are sent again to a store that did not answer."""
_log = logging.getLogger("turnwise")

Event = dict[str, Any]


def stream_event(event: StreamEvent) -> Event:
    """An event of the SDK's stream as JSON, with the SDK's names."""
    if isinstance(event, RawResponsesStreamEvent):
        return {"type": event.type, "data": to_json(event.data)}
    if isinstance(event, RunItemStreamEvent):
        item = event.item
        described = {
            "type": item.type,
            "agent": item.agent.name,
            "raw_item": to_json(item.raw_item),
        }
        return {"type": event.type, "name": event.name, "item": described}
    assert isinstance(event, AgentUpdatedStreamEvent)
    return {"type": event.type, "new_agent": event.new_agent.name}


class EventPublisher:
    """Publishes the events of one attempt of a turn, in order, from number `first` on.

    A token is sent at once, with what came before it; what comes within `_BATCH_PAUSE` after it is
    sent together. What is no token waits for one, for so long at most. So there is no more than one
    append in that time, unless very many events come.

    Nothing depends on events: while the store does not answer the turn goes on, and they are sent
    later. What the store refuses is lost to those who follow: the log says so, and the event that
    says what became of the turn is marked as `incomplete`.
    """

    def __init__(
        self, runtime: Runtime, session_id: str, turn_id: str, attempt: int, first: int = 0
    ) -> None:
        self._runtime = runtime
        self._session_id = session_id
        self._turn_id = turn_id
        self._attempt = attempt
        self._unsent: list[bytes] = []
        self._next = first
        self._bytes = 0
        self._is_full = False
        self._is_incomplete = False
        self._is_current = True
        self._is_reached = True
        self._is_closing = False
        self._due = 0.0
        """When the next append may begin, by the event loop's clock."""
        self._appending: asyncio.Task[None] | None = None
        self._later: asyncio.TimerHandle | None = None

    @property
    def cursor(self) -> tuple[int, int]:
        """The attempt, and the number of the next event."""
        return self._attempt, self._next + len(self._unsent)

    async def publish(self, event: Event) -> None:
        """Publish it soon; wait only while too many events are unsent."""
        self.publish_nowait(event)
        if self._is_crowded and self._appending is not None:
            await asyncio.wait({self._appending})

    def publish_nowait(self, event: Event) -> None:
        """Publish it soon."""
        try:
            content = self._runtime.codec.encode(event)
        except EncodeError as error:  # a custom model may stream what is not JSON
            self._is_incomplete = True
            _log.warning(
                "an event of type %r of turn %r of session %r was not published: %s",
                event.get("type"),
                self._turn_id,
                self._session_id,
                printable(str(error)),
            )
            return
        if not self._has_room(event, content):
            return
        self._unsent.append(content)
        self._plan(at_once=_is_token(event))

    @property
    def _is_crowded(self) -> bool:
        """Whether so many are unsent that more have to wait; for a store that answers."""
        return self._is_reached and len(self._unsent) >= _MAX_UNSENT

    def _plan(self, *, at_once: bool) -> None:
        """Begin an append, now or as soon as it may begin; one that runs plans the next itself."""
        if self._is_closing or not (self._appending is None or self._appending.done()):
            return
        loop = asyncio.get_running_loop()
        due = self._due if at_once else max(self._due, loop.time() + _BATCH_PAUSE)
        if due <= loop.time() or self._is_crowded:
            self._begin()
        elif self._later is None or due < self._later.when():
            self._forget_plan()
            self._later = loop.call_at(due, self._begin)

    def _begin(self) -> None:
        self._forget_plan()
        self._appending = asyncio.create_task(self._append(), name="turnwise-events")

    def _forget_plan(self) -> None:
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def _has_room(self, event: Event, content: bytes) -> bool:
        """Whether it may be published. What becomes of the turn always is."""
        limit = self._runtime.settings.max_event_bytes
        if str(event["type"]).startswith("turn."):
            return True
        fits = not self._is_full and self._bytes + len(content) <= limit
        if fits:
            self._bytes += len(content)
        elif not self._is_full:
            self._is_full = self._is_incomplete = True
            _log.warning(
                "the events of turn %r of session %r reach max_event_bytes=%d: no more are "
                "published of its run, which goes on",
                self._turn_id,
                self._session_id,
                limit,
            )
        return fits

    async def close(self, event: Event | None = None, *, last: bool = False) -> None:
        """Send all unsent events, then `event`. `last`: the turn's events end here."""
        self._is_closing = True
        self._forget_plan()
        if self._appending is not None:  # what is cancelled would be sent again
            await asyncio.wait({self._appending}, timeout=_CLOSING)
        await self.stop()
        if event is not None:
            mark = {"incomplete": True} if self._is_incomplete else {}
            self._unsent.append(self._runtime.codec.encode(event | mark))
        is_reached = True
        while is_reached and len(self._unsent) > _MAX_UNSENT:
            is_reached = await self._send()
        if is_reached and (self._unsent or last):
            await self._send(last=last)
        if self._unsent:
            self._lose(len(self._unsent), "the turn has ended, and the store does not answer")

    async def stop(self) -> None:
        """Stop sending. Unsent events are kept for `close`."""
        self._is_closing = True
        self._forget_plan()
        if self._appending is not None:
            self._appending.cancel()
            await asyncio.wait({self._appending})

    async def _append(self) -> None:
        loop = asyncio.get_running_loop()
        self._due = loop.time() + _BATCH_PAUSE
        self._is_reached = await self._send()
        if not self._is_reached:
            self._due = loop.time() + _RESEND_PAUSE
        self._appending = None
        if self._unsent:
            self._plan(at_once=True)

    async def _send(self, *, last: bool = False) -> bool:
        """Append the oldest of them; whether the store answered. If not, they stay unsent.

        Sent again, as also if this is cancelled, they have the same numbers, so that the store
        appends them once.
        """
        batch = self._unsent[:_MAX_UNSENT]
        try:
            if self._is_current:
                self._is_current = await self._runtime.store.events.append(
                    *(self._session_id, self._turn_id, self._attempt, self._next, batch), last=last
                )
        except StoreUnavailable:
            return False
        except StoreError as error:
            self._lose(len(batch), error)
        del self._unsent[: len(batch)]
        self._next += len(batch)
        return True

    def _lose(self, count: int, reason: object) -> None:
        self._is_incomplete = True
        _log.warning(
            "%d events of turn %r of session %r were not published: %s",
            *(count, self._turn_id, self._session_id, reason),
        )


def _is_token(event: Event) -> bool:
    """Whether somebody who reads along waits for it. A model may stream what is no object."""
    data = event.get("data")
    return isinstance(data, dict) and str(data.get("type")).endswith(".delta")


def publisher_of(turn: Turn, attempt: int, first: int = 0) -> EventPublisher:
    """Publishes the events of an open turn, for the owner of its session."""
    runtime = turn.runtime.for_owner(turn.grant.owner)
    return EventPublisher(runtime, turn.session_id, turn.turn_id, attempt, first)


async def resumed_publisher(turn: Turn, parked: tuple[int, int]) -> EventPublisher:
    """Publishes behind the event `parked`, which says that the turn was parked."""
    number = await _next_number(turn.runtime, turn.session_id, turn.turn_id, *parked)
    publisher = publisher_of(turn, parked[0], number)
    publisher.publish_nowait({"type": "turn.resumed"})
    return publisher


class ResumedEvents:
    """The events of one resumption of a parked turn, behind those from before it was parked.

    Only a background turn has events; for a direct turn all of this does nothing.
    """

    def __init__(self, turn: Turn) -> None:
        self._turn = turn
        self._publisher: EventPublisher | None = None

    async def begin(self, entry: ParkedEntry) -> None:
        """The turn resumes from this entry."""
        if entry.event is not None:
            self._publisher = await resumed_publisher(self._turn, entry.event)

    def publish(self, event: StreamEvent) -> None:
        """Publish an event of the run's stream soon."""
        if self._publisher is not None:
            self._publisher.publish_nowait(stream_event(event))

    def publish_items(self, new: Sequence[RunItem], before: Sequence[RunItem]) -> None:
        """Publish the new items of a run that was not streamed, without those it had `before`."""
        known = {id(item) for item in before}
        for event in item_events([item for item in new if id(item) not in known]):
            self.publish(event)

    def cursor(self) -> tuple[int, int] | None:
        """The attempt, and the number of the next event; None for a direct turn."""
        return None if self._publisher is None else self._publisher.cursor

    @asynccontextmanager
    async def ending(self, error: BaseException | None = None) -> AsyncIterator[None]:
        """The block that ends the turn, after `error` if there was one; then publish how it ended.

        An error that the block raises is published instead.
        """
        try:
            yield
        except BaseException as raised:
            error = raised
            raise
        finally:
            if self._publisher is not None:
                event = _last_event(self._turn, error)
                last = event is not None and event["type"] == "turn.finished"
                await self._publisher.close(event, last=last)


def parked_event(turn: Turn) -> Event:
    """The turn is parked; `approvals` are what its run asks for."""
    approvals = turn.outcome.entry.approvals if isinstance(turn.outcome, Park) else []
    return {"type": "turn.parked", "approvals": [asdict(one) for one in approvals]}


def _last_event(turn: Turn, error: BaseException | None) -> Event | None:
    """How a turn ended; None if another process may continue it."""
    if isinstance(turn.outcome, Commit):
        return {"type": "turn.finished", "state": "committed"}
    if error is None:
        return parked_event(turn)
    if isinstance(error, TurnCancelled):
        return {"type": "turn.finished", "state": "cancelled"}
    if isinstance(error, OTHERS_MAY_CONTINUE):
        return None
    return {"type": "turn.retry", "error": type(error).__name__}


async def _next_number(
    runtime: Runtime, session_id: str, turn_id: str, attempt: int, parked: int
) -> int:
    """The number behind the last event of the attempt, whose event `parked` is `turn.parked`.

    Behind that one are the events of resumptions that did not finish.
    """
    cursor: str | None = event_id(attempt, parked)
    number = parked + 1
    with suppress(StoreError):
        while (found := await runtime.store.events.read(session_id, turn_id, cursor)).events:
            cursor = found.events[-1].id
            if parse_event_id(cursor)[0] == attempt:
                number = parse_event_id(cursor)[1] + 1
    return number
