"""Clients of the chat wire: one waits for the answer, one follows it."""

from __future__ import annotations

import json
import random
from typing import Any

from chaos.clients.site import Ask, Failed, Site, Told, again, check, events_of

_CLOSES = 0.05
"""How often a page is closed, and loaded again, at a piece of an answer."""
_STREAM = {"Accept": "text/event-stream"}


async def ask_chat(site: Site, ask: Ask) -> Told:
    """Send it until the answer comes."""

    async def attempt() -> Told | None:
        response = await site.http.post("/chat", json=_body(ask), headers=ask.headers)
        if not await check(response) or response.status_code == 202:
            return None
        return Told(response.json()["response"], "")

    return await again(attempt)


async def follow_chat(site: Site, ask: Ask) -> Told:
    """Send it, and follow the stream; where it breaks, go on from the last event."""
    page = _Page(site, ask)
    return await again(page.read)


def _body(ask: Ask) -> dict[str, Any]:
    return {"session_id": ask.session, "message": ask.text, "turn_id": ask.turn_id}


class _Page:
    """What a page shows, and where it goes on."""

    def __init__(self, site: Site, ask: Ask) -> None:
        self._site = site
        self._ask = ask
        self._is_sent = False
        self._last: str | None = None
        self._shown = ""

    async def read(self) -> Told | None:
        """Read one stream to its end; None if it does not say how the turn ended."""
        async with self._request() as response:
            if not await check(response):
                return None
            if response.status_code == 204:  # the client has all events but the answer to them
                return await self._look()
            async for sent in events_of(response):
                self._is_sent = True
                if (told := self._show(sent.event, json.loads(sent.data))) is not None:
                    return told
                self._last = sent.id or (None if sent.event == "reset" else self._last)
                is_closed = sent.event == "delta" and random.random() < _CLOSES
                if is_closed or sent.event in ("error", "reconnect"):
                    return None
        raise AssertionError("a stream ended, and did not say why")

    def _request(self) -> Any:
        if not self._is_sent:
            headers = self._ask.headers | _STREAM
            return self._site.http.stream("POST", "/chat", json=_body(self._ask), headers=headers)
        if self._last is None:
            self._shown = ""
        after = {} if self._last is None else {"Last-Event-ID": self._last}
        return self._site.http.stream(
            "GET", f"{self._turn}/events", headers=self._ask.headers | _STREAM | after
        )

    @property
    def _turn(self) -> str:
        return f"/chat/{self._ask.session}/turns/{self._ask.turn_id}"

    async def _look(self) -> Told | None:
        response = await self._site.http.get(self._turn, headers=self._ask.headers)
        return self._done(response.json()) if await check(response) else None

    def _show(self, event: str, data: dict[str, Any]) -> Told | None:
        if event == "delta":
            self._shown += data["text"]
        elif event == "message":
            self._shown = self._shown or data["text"]  # not to hide that the pieces differ
        elif event == "reset":
            self._shown = ""
        elif event == "done":
            return self._done(data)
        elif event == "error" and data["status"] not in (500, 503):
            raise AssertionError(f"a stream ended with {data}")
        return None

    def _done(self, turn: dict[str, Any]) -> Told:
        if turn["state"] in ("cancelled", "dead"):
            raise Failed(turn["state"])
        assert turn["state"] == "committed", f"a stream is done, but the turn is {turn['state']}"
        return Told(turn["response"], self._shown)
