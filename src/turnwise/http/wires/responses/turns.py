"""The turns behind responses, as the store has them: what this wire alone asks of sessions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnwise.background import Status
from turnwise.background.event_publisher import stream_event
from turnwise.codec.elements import is_item, marker
from turnwise.errors import AlreadyCommitted
from turnwise.fleet.timeline import find_old
from turnwise.http.gateway import Gateway
from turnwise.http.principals import Principal
from turnwise.http.wires.responses.items import Item, digest
from turnwise.results import RebuiltRun, times_parked_in
from turnwise.session import Session
from turnwise.turns import reason_in
from turnwise.types import Absent, Duplicate

ECHO = "response"
"""What a message's metadata say of the request, under this name."""
_QUEUE = 256
Event = Mapping[str, Any]


@dataclass(frozen=True)
class Ended:
    """A turn that ended.

    Attributes:
        state: "committed", "cancelled" or "dead".
        at: When it ended, in POSIX seconds.
        given: The items that it was begun with.
        events: Its events, made of what is stored.
        metadata: Those of its message.
        error: Why it failed.
    """

    state: str
    at: float
    given: list[Item] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


@dataclass(frozen=True)
class Sent:
    """A message that waits in its session's queue, or whose turn is open."""

    input: list[Item]
    metadata: Mapping[str, Any]


class Turns:
    """The turns of one principal's sessions."""

    def __init__(self, gateway: Gateway, principal: Principal) -> None:
        self.gateway = gateway
        self.principal = principal

    @property
    def session(self) -> Session:
        """The principal's sessions."""
        return self.gateway.session(self.principal)

    async def status(self, session_id: str, turn_id: str) -> Status:
        """What has become of a turn; of one of a session that is not this principal's: nothing."""
        return await self.gateway.status(self.principal, session_id, turn_id)

    async def sent(self, session_id: str, turn_id: str) -> Sent | None:
        """The turn's message, as long as the turn has not ended."""
        for entry in await self.session.queue(session_id, _QUEUE):
            if entry.turn_id == turn_id and entry.kind == "message":
                said = entry.input
                items = [{"role": "user", "content": said}] if isinstance(said, str) else said
                return Sent(items, entry.metadata)
        return None

    async def ended(self, session_id: str, turn_id: str) -> Ended | None:
        """The turn, if it has ended and the history still has it, however long ago."""
        runtime, names = self.session.runtime, (session_id, turn_id)
        answer = await runtime.store.status(*names)
        found = answer if isinstance(answer, Duplicate) else None
        if found is None or found.record is None:
            found = await find_old(runtime, names)
        if found is None or found.record is None:
            return None
        record = found.record
        at = record.at_ms / 1000
        if record.kind == "dead":
            return Ended("dead", at)
        if record.kind in ("cancelled", "abandoned"):
            return Ended("cancelled", at, error=reason_in(record.payload))
        items = await runtime.reader.added(session_id, found)
        error = AlreadyCommitted(
            "",
            session_id=session_id,
            turn_id=turn_id,
            items=items,
            committed_at=at,
            payload=record.payload,
        )
        try:
            run = RebuiltRun(error, None, None, ())
        except AlreadyCommitted:  # it was kept after an error, say
            given, made = parted(items)
            return Ended("committed", at, given, list(item_events(made)))
        events: list[Event] = [stream_event(event) for event in run.events()]
        return Ended("committed", at, list(run.given), events, run.metadata)

    async def times_parked(self, session_id: str, turn_id: str) -> int:
        """How often the turn was parked so far, as far as it is known."""
        found = await self.session.runtime.store.status(session_id, turn_id)
        if isinstance(found, Duplicate):
            return times_parked_in(found.record.payload) if found.record is not None else 0
        events = self.events_so_far(session_id, turn_id)
        return sum([1 async for _, event in events if event["type"] == "turn.parked"])

    async def events_so_far(
        self, session_id: str, turn_id: str
    ) -> AsyncIterator[tuple[str, Event]]:
        """The events that were published, without waiting for more."""
        runtime = self.session.runtime
        cursor: str | None = None
        while True:
            found = await runtime.store.events.read(session_id, turn_id, cursor)
            for event in found.events:
                yield event.id, runtime.codec.decode(event.content)
                cursor = event.id
            if found.ended or not found.events:
                return

    async def items(self, session_id: str, before: str | None = None) -> list[Item]:
        """All items of a session, as they are stored, or those before a turn."""
        runtime = self.session.runtime
        history = await runtime.store.read(session_id)
        if isinstance(history, Absent):
            return []
        elements = history.elements
        if before is not None and marker(before) in elements:
            end = len(elements) - 1 - elements[::-1].index(marker(before))
            while end > 0 and is_item(elements[end - 1]):
                end -= 1
            elements = elements[:end]
        found: list[Item] = runtime.codec.decode_many([each for each in elements if is_item(each)])
        return found

    async def is_only(self, session_id: str) -> bool:
        """Whether the session has one turn, and nothing else waits or runs in it."""
        info = await self.session.info(session_id)
        return info is not None and info.turns == 1 and not info.queued and not info.open_turn

    async def expire(self, session_id: str, ttl_ms: int) -> None:
        """Let the session go, should this process die before it forgets it."""
        await self.session.runtime.store.expire(session_id, ttl_ms)

    async def forget(self, session_id: str) -> None:
        """Delete a session that was not to be stored."""
        await self.session.runtime.store.delete(session_id)

    async def is_marked(self, session_id: str, turn_id: str, part: int, *, old: bool) -> bool:
        """Whether the response was deleted. `old`: its turn is older than the retention."""
        mark = _mark(turn_id, part)
        if old:
            return await self.ended(session_id, mark) is not None
        return (await self.status(session_id, mark)).state == "committed"

    async def mark(self, session_id: str, turn_id: str, part: int) -> None:
        """Note that the response is deleted, by a turn that adds nothing."""
        try:
            async with self.session.turn(session_id, turn_id=_mark(turn_id, part)):
                pass
        except AlreadyCommitted:
            pass


def _mark(turn_id: str, part: int) -> str:
    return f"deleted:{digest(turn_id, part)}"


def parted(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """What a turn was given, and what it made, as far as the items tell."""
    count = 0
    for place, item in enumerate(items, 1):
        if item.get("role") in ("user", "system", "developer"):
            count = place
    return items[:count], items[count:]


def _model_event(kind: str, response: Item) -> Event:
    data = {"type": f"response.{kind}", "response": response}
    return {"type": "raw_response_event", "data": data}


def item_events(items: list[Item]) -> list[Event]:
    """Items as events, each in one piece."""
    events: list[Event] = []
    for item in items:
        kind = str(item.get("type", "message"))
        if kind.endswith("_output"):
            said = {"type": "tool_call_output_item", "agent": "", "raw_item": item}
            events.append({"type": "run_item_stream_event", "name": "tool_output", "item": said})
        else:
            response = {"output": [{"type": kind} | item]}
            events += [_model_event("created", {}), _model_event("completed", response)]
    return events
