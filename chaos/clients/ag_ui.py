"""A small reader of AG-UI: the protocol's own types check each event."""

from __future__ import annotations

from typing import Any

from ag_ui.core import (
    Event,
    MessagesSnapshotEvent,
    RunErrorEvent,
    RunFinishedCancelledOutcome,
    RunFinishedEvent,
    TextMessageContentEvent,
    TextMessageStartEvent,
)
from pydantic import TypeAdapter

from chaos.clients.site import Ask, Failed, Site, Told, again, check, events_of

_event: TypeAdapter[Event] = TypeAdapter(Event)


async def ask_ag_ui(site: Site, ask: Ask) -> Told:
    """Run it; where the stream breaks, or says so, run it again under the same id."""

    async def attempt() -> Told | None:
        return await _run(site, ask)

    return await again(attempt)


async def _run(site: Site, ask: Ask) -> Told | None:
    shown: dict[str, str] = {}
    """The agent's messages, in order."""
    async with site.http.stream("POST", "/agui", json=_body(ask), headers=ask.headers) as response:
        if not await check(response):
            return None
        async for sent in events_of(response):
            event = _event.validate_json(sent.data)
            if isinstance(event, MessagesSnapshotEvent):
                agents = (m for m in event.messages if m.role == "assistant" and m.content)
                shown = {message.id: str(message.content) for message in agents}
            elif isinstance(event, TextMessageStartEvent):
                shown[event.message_id] = ""
            elif isinstance(event, TextMessageContentEvent):
                shown[event.message_id] += event.delta
            elif isinstance(event, RunFinishedEvent):
                if isinstance(event.outcome, RunFinishedCancelledOutcome):
                    raise Failed("cancelled")
                text = [*shown.values()][-1]
                return Told(text, text)
            elif isinstance(event, RunErrorEvent):
                if event.code in ("reconnect", "StoreUnavailable"):
                    return None
                raise Failed(event.code)
    raise AssertionError("a stream ended, and did not say why")


def _body(ask: Ask) -> dict[str, Any]:
    return {
        "threadId": ask.session,
        "runId": ask.turn_id,
        "messages": [{"id": ask.turn_id, "role": "user", "content": ask.text}],
        "state": {},
        "tools": [],
        "context": [],
        "forwardedProps": {},
        "protocolVersion": "1.0",
    }
