"""A turn's events for wires whose streams have to say all: approvals, and how the turn ended.

The chat wire has a request for the turn as it stands, and so makes do with `Missing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from turnwise.background import parse_event_id
from turnwise.errors import SessionGone
from turnwise.fleet import PastTurn
from turnwise.http.following import Event
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal

_PAUSE = 0.05
"""Seconds in which the store gives what follows an event, if anything does."""
_PAGE = 50


async def answer(
    gateway: Gateway,
    principal: Principal,
    session_id: str,
    turn_id: str,
    after: str | None = None,
) -> AsyncIterator[tuple[str, Event]]:
    """The turn's events, so that they tell all that a client has to know.

    `turn.parked` also has the approvals that are `pending`, if nothing follows it: its own
    `approvals` may be decided by now. A committed turn whose events are gone, or of which some are
    missing, gives `turn.items` before `turn.finished`, with all its `items`.

    Raises:
        SessionGone: Nothing is known of the turn.
    """
    names, missing = (principal, session_id, turn_id), Missing(after)
    async with aclosing(cast(Any, gateway.follow(*names, after))) as events:
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while (found := await coming) is not None:
                coming = asyncio.ensure_future(anext(events, None))
                event_id, event = found
                missing.note(event_id, event)
                if event["type"] == "turn.parked":
                    await asyncio.wait({coming}, timeout=_PAUSE)
                    if not coming.done():
                        event = {**event, "pending": await pending(gateway, *names)}
                is_over = event["type"] == "turn.finished"
                if is_over and missing.found and event["state"] == "committed":
                    yield "", {"type": "turn.items", "items": await _items(gateway, *names)}
                yield event_id, event
                if is_over:
                    return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    status = await gateway.status(*names)
    if not status.finished:
        raise SessionGone(f"nothing is known of turn {turn_id!r}", session_id=session_id)
    yield "", {"type": "turn.finished", "state": status.state}


async def answer_from_history(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str
) -> AsyncIterator[tuple[str, Event]]:
    """The same of a committed turn, without its events."""
    items = await _items(gateway, principal, session_id, turn_id)
    yield "", {"type": "turn.items", "items": items}
    yield "", {"type": "turn.finished", "state": "committed"}


class Missing:
    """Whether events of a turn were missing, for who reads from behind event `after`.

    The first event of an attempt has the number 0. A log that is full lacks the first ones.

    Attributes:
        found: Whether some were, so far.
    """

    def __init__(self, after: str | None) -> None:
        self.found = False
        self._begins = not after

    def note(self, event_id: str, event: Event) -> None:
        """The next event."""
        if event["type"] == "turn.reset":
            self.found, self._begins = False, True
            return
        if self._begins and event_id:
            _, number = parse_event_id(event_id)
            self.found = number > 0
        self._begins = False
        self.found = self.found or "incomplete" in event


async def pending(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str
) -> list[Any]:
    """The turn's approvals that nobody has decided."""
    found = await gateway.approvals(principal, session_id)
    return [approval for approval in found if approval.turn_id == turn_id]


async def turns(gateway: Gateway, principal: Principal, session_id: str) -> AsyncIterator[PastTurn]:
    """The session's turns, the newest first, read as far as they are taken."""
    before: str | None = None
    while (page := await gateway.history(principal, session_id, _PAGE, before)) is not None:
        for turn in page.turns:
            yield turn
        if (before := page.before) is None:
            return


async def _items(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str
) -> list[Any]:
    """All items of a committed turn but those of its user; none if the history lacks it."""
    async with aclosing(cast(Any, turns(gateway, principal, session_id))) as found:
        async for turn in found:
            if turn.turn_id == turn_id:
                return [item for item in turn.items if item.get("role") != "user"]
    return []
