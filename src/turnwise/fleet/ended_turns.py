"""Single turns of a session as those follow them who were not there: what is left of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnwise.background.event_publisher import stream_event
from turnwise.codec.elements import is_item, marker
from turnwise.errors import AlreadyCommitted
from turnwise.fleet.timeline import find_old
from turnwise.results import RebuiltRun, times_parked_in
from turnwise.turns import Runtime, reason_in
from turnwise.types import Absent, Duplicate

Item = dict[str, Any]
Event = Mapping[str, Any]


@dataclass(frozen=True)
class EndedTurn:
    """A turn that ended.

    Attributes:
        state: "committed", "cancelled" or "dead".
        at: When it ended, in POSIX seconds.
        given: The items that it was begun with.
        events: Its events (see `Receipt.events`), made of what is stored: each item in one piece.
        metadata: Those of its message.
        error: Why it was cancelled.
    """

    state: str
    at: float
    given: list[Item] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    error: str | None = None


async def ended_turn(runtime: Runtime, session_id: str, turn_id: str) -> EndedTurn | None:
    """The turn, if it has ended and the history still has it, however long ago."""
    names = session_id, turn_id
    answer = await runtime.store.status(*names)
    found = answer if isinstance(answer, Duplicate) else None
    if found is None or found.record is None:
        found = await find_old(runtime, names)
    if found is None or found.record is None:
        return None
    record = found.record
    at = record.at_ms / 1000
    if record.kind == "dead":
        return EndedTurn("dead", at)
    if record.kind in ("cancelled", "abandoned"):
        return EndedTurn("cancelled", at, error=reason_in(record.payload))
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
        given, made = _parted(items)
        return EndedTurn("committed", at, given, list(_item_events(made)))
    events: list[Event] = [stream_event(event) for event in run.events()]
    return EndedTurn("committed", at, list(run.given), events, run.metadata)


async def times_parked(runtime: Runtime, session_id: str, turn_id: str) -> int:
    """How often the turn was parked so far, as far as it is known."""
    found = await runtime.store.status(session_id, turn_id)
    if isinstance(found, Duplicate):
        return times_parked_in(found.record.payload) if found.record is not None else 0
    events = events_so_far(runtime, session_id, turn_id)
    return sum([1 async for _, event in events if event["type"] == "turn.parked"])


async def events_so_far(
    runtime: Runtime, session_id: str, turn_id: str
) -> AsyncIterator[tuple[str, Event]]:
    """The events that were published, with their ids, without waiting for more."""
    cursor: str | None = None
    while True:
        found = await runtime.store.events.read(session_id, turn_id, cursor)
        for event in found.events:
            yield event.id, runtime.codec.decode(event.content)
            cursor = event.id
        if found.ended or not found.events:
            return


async def items_before(runtime: Runtime, session_id: str, turn_id: str) -> list[Item]:
    """All items of a session as they are stored, up to this turn's, if the history has it."""
    history = await runtime.store.read(session_id)
    if isinstance(history, Absent):
        return []
    elements = history.elements
    if marker(turn_id) in elements:
        end = len(elements) - 1 - elements[::-1].index(marker(turn_id))
        while end > 0 and is_item(elements[end - 1]):
            end -= 1
        elements = elements[:end]
    found: list[Item] = runtime.codec.decode_many([each for each in elements if is_item(each)])
    return found


def _parted(items: list[Item]) -> tuple[list[Item], list[Item]]:
    """What a turn was given, and what it made, as far as the items tell."""
    count = 0
    for place, item in enumerate(items, 1):
        if item.get("role") in ("user", "system", "developer"):
            count = place
    return items[:count], items[count:]


def _item_events(items: list[Item]) -> list[Event]:
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


def _model_event(kind: str, response: Item) -> Event:
    data = {"type": f"response.{kind}", "response": response}
    return {"type": "raw_response_event", "data": data}
