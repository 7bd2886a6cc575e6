"""A turn's events for wires that show approvals, and that have to say how a turn ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any, cast

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
    `approvals` may be decided by now. A turn that has ended gives `turn.finished`, also if its
    events are gone; a committed one then gives `turn.items` first, with its `items`.

    Raises:
        SessionGone: Nothing is known of the turn.
    """
    names = principal, session_id, turn_id
    async with aclosing(cast(Any, gateway.follow(*names, after))) as events:
        coming = asyncio.ensure_future(anext(events, None))
        try:
            while (found := await coming) is not None:
                coming = asyncio.ensure_future(anext(events, None))
                event_id, event = found
                if event["type"] == "turn.parked":
                    await asyncio.wait({coming}, timeout=_PAUSE)
                    if not coming.done():
                        event = {**event, "pending": await pending(gateway, *names)}
                yield event_id, event
                if event["type"] == "turn.finished":
                    return
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
    async for event in _end(gateway, *names):
        yield "", event


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


async def _end(
    gateway: Gateway, principal: Principal, session_id: str, turn_id: str
) -> AsyncIterator[Event]:
    """How the turn ended, where its events do not tell."""
    status = await gateway.status(principal, session_id, turn_id)
    if not status.finished:
        raise SessionGone(f"nothing is known of turn {turn_id!r}", session_id=session_id)
    if status.state == "committed":
        async with aclosing(cast(Any, turns(gateway, principal, session_id))) as found:
            async for turn in found:
                if turn.turn_id == turn_id:
                    items = [item for item in turn.items if item.get("role") != "user"]
                    yield {"type": "turn.items", "items": items}
                    break
    yield {"type": "turn.finished", "state": status.state}
