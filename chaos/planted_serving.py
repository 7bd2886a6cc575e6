"""Known bugs of the server, planted into the replicas by name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from chaos.planting import Plant, method
from turnwise.background import Receipt
from turnwise.http.following import Following
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.sse import Streams
from turnwise.http.wires import chat
from turnwise.http.wires.vercel_chunks import ChunkEncoder
from turnwise.stores.event_log import event_id, parse_event_id
from turnwise.types import Cancellation

_follow, _send, _status, _cancel = Gateway.follow, Gateway.send, Gateway.status, Gateway.cancel
_feed = Following._feed
Events = AsyncIterator[tuple[str, Any]]
_background: set[asyncio.Task[Any]] = set()


async def _follow_from_now(
    self: Gateway, principal: Principal, session_id: str, turn_id: str, after: str | None = None
) -> Events:
    """Tell what is there, and follow from what is the newest a moment later."""
    runtime = self._receipt(principal, session_id, turn_id).runtime
    found = await runtime.store.events.read(session_id, turn_id, after)
    for event in () if found.reset else found.events:
        after = event.id
        yield event.id, runtime.codec.decode(event.content)
    await asyncio.sleep(0.05)
    missed = await runtime.store.events.read(session_id, turn_id, after)
    if missed.events and not missed.reset:
        after = missed.events[-1].id
    async for event_id_, event_ in _follow(self, principal, session_id, turn_id, after):
        yield event_id_, event_


async def _follow_from_before(
    self: Gateway, principal: Principal, session_id: str, turn_id: str, after: str | None = None
) -> Events:
    """Who goes on behind an event gets that one again."""
    attempt, number = parse_event_id(after or "")
    if number:
        after = event_id(attempt, number - 1)
    async for found in _follow(self, principal, session_id, turn_id, after):
        yield found


async def _follow_to_reset(
    self: Gateway, principal: Principal, session_id: str, turn_id: str, after: str | None = None
) -> Events:
    """The stream ends where another attempt begins."""
    async for found, event in _follow(self, principal, session_id, turn_id, after):
        if event["type"] == "turn.reset":
            return
        yield found, event


@asynccontextmanager
async def _feed_of_session(self: Following, receipt: Receipt, after: str | None) -> Any:
    """All who follow turns of one session share what one of them reads."""
    known = _sessions.setdefault(receipt.session_id, receipt)
    async with _feed(self, known, after) as feed:
        yield feed


_sessions: dict[str, Receipt] = {}


async def _send_once(
    self: Gateway, principal: Principal, session_id: str, input: Any, **options: Any
) -> Receipt:
    """A key that was used is known, whoever used it."""
    key = str(options.get("turn_id"))
    if key not in _sent:
        _sent[key] = await _send(self, principal, session_id, input, **options)
    return _sent[key]


_sent: dict[str, Receipt] = {}


async def _send_soon(
    self: Gateway, principal: Principal, session_id: str, input: Any, **options: Any
) -> Receipt:
    """A message is taken before it is queued."""

    async def queue() -> None:
        await asyncio.sleep(0.1)
        await _send(self, principal, session_id, input, **options)

    _in_background(queue())
    return self._receipt(principal, session_id, str(options.get("turn_id")))


async def _status_of_checked(
    self: Gateway, principal: Principal, session_id: str, turn_id: str
) -> Any:
    """The owner is checked first; then the store is asked by everybody's right."""
    exists = await self._sessions.info(session_id) is not None
    if exists and await self.info(principal, session_id) is None:
        return await _status(self, principal, session_id, turn_id)
    await asyncio.sleep(0.02)
    return await self._sessions.status(session_id, turn_id)


async def _cancel_soon(
    self: Gateway,
    principal: Principal,
    session_id: str,
    turn_id: str | None = None,
    reason: str | None = None,
) -> Cancellation:
    """A cancel is answered before it is recorded."""

    async def record() -> None:
        await asyncio.sleep(2.0)
        await _cancel(self, principal, session_id, turn_id, reason)

    _in_background(record())
    return Cancellation("cancelled", turn_id or "")


def _in_background(work: Any) -> None:
    _background.add(task := asyncio.create_task(work))
    task.add_done_callback(_background.discard)


def _end_silently(self: Streams) -> None:
    """Streams end when the server stops, and say nothing."""
    self._ended = True
    for stream in self._open:
        stream._is_left = True
        stream._news.set()


def _leave_void_text() -> None:
    """Clients are not told that another attempt begins."""
    encoded = vars(chat)["encoded"]

    def without_reset(event: str, content: Mapping[str, Any]) -> str:
        is_void = content["type"] in ("turn.reset", "turn.retry")
        return "" if is_void else str(encoded(event, content))

    vars(chat)["encoded"] = without_reset
    method(ChunkEncoder, "_give_up", lambda self: [])()


PLANTED_SERVING: dict[str, Plant] = {
    "event-missed-before-following": method(Gateway, "follow", _follow_from_now),
    "resume-repeats": method(Gateway, "follow", _follow_from_before),
    "follower-ends-at-reset": method(Gateway, "follow", _follow_to_reset),
    "feed-of-a-session": method(Following, "_feed", _feed_of_session),
    "key-shared-by-owners": method(Gateway, "send", _send_once),
    "sent-before-queued": method(Gateway, "send", _send_soon),
    "owner-checked-before": method(Gateway, "status", _status_of_checked),
    "cancel-answered-early": method(Gateway, "cancel", _cancel_soon),
    "drain-says-nothing": method(Streams, "end", _end_silently),
    "void-text-left": _leave_void_text,
}
