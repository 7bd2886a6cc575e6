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
    page = _Page(site, ask)
    return await again(page.read)


class _Page:
    def __init__(self, site: Site, ask: Ask) -> None:
        self._site = site
        self._ask = ask
        self._texts = {ask.turn_id: ask.text}
        """The messages that the client keeps, by id. Only a snapshot replaces them."""

    async def read(self) -> Told | None:
        """Read one stream to its end; None if it does not say how the run ended."""
        async with self._site.http.stream(
            "POST", "/agui", json=_body(self._ask), headers=self._ask.headers
        ) as response:
            if not await check(response):
                return None
            async for sent in events_of(response):
                event = _event.validate_json(sent.data)
                if isinstance(event, RunFinishedEvent):
                    return self._told(event)
                if isinstance(event, RunErrorEvent):
                    if event.code in ("reconnect", "StoreUnavailable"):
                        return None
                    raise Failed(event.code)
                self._show(event)
        raise AssertionError("a stream ended, and did not say why")

    def _show(self, event: Any) -> None:
        if isinstance(event, MessagesSnapshotEvent):
            said = (each for each in event.messages if each.role in ("user", "assistant"))
            self._texts = {each.id: str(each.content or "") for each in said}
        elif isinstance(event, TextMessageStartEvent):
            self._texts.setdefault(event.message_id, "")
        elif isinstance(event, TextMessageContentEvent):
            self._texts[event.message_id] += event.delta

    def _told(self, event: RunFinishedEvent) -> Told:
        """All that is shown below the message that was sent."""
        if isinstance(event.outcome, RunFinishedCancelledOutcome):
            raise Failed("cancelled")
        names = [*self._texts]
        assert self._ask.turn_id in names, "a run is finished whose message no snapshot has"
        below = names[names.index(self._ask.turn_id) + 1 :]
        text = "".join(self._texts[name] for name in below)
        return Told(text, text)


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
