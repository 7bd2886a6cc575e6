"""A small reader of the Vercel AI SDK's UI message stream, as version 6 of its client reads it."""

from __future__ import annotations

import json
from typing import Any

from chaos.clients.site import Ask, Failed, Site, Told, again, check, events_of

_RESUME = "The answer begins again"
_FAILED = "The turn failed"


async def follow_vercel(site: Site, ask: Ask) -> Told:
    """Send it, and read the answer; where that breaks, or begins again, resume it."""
    page = _Page(site, ask)
    return await again(page.read)


class _Page:
    def __init__(self, site: Site, ask: Ask) -> None:
        self._site = site
        self._ask = ask
        self._answer_id = ""

    async def read(self) -> Told | None:
        answer, is_over = _Answer(), False
        async with self._request() as response:
            if not await check(response):
                return None
            assert response.status_code != 204, "the server knows nothing of an answer it began"
            async for sent in events_of(response):
                if sent.data == "[DONE]":
                    assert is_over, "a stream is done, and did not say why"
                    return Told(answer.text, answer.text)
                chunk = json.loads(sent.data)
                if chunk["type"] == "error":
                    _check_error(chunk["errorText"])
                    return None
                if chunk["type"] == "abort":
                    raise Failed("cancelled")
                self._answer_id = chunk.get("messageId", self._answer_id)
                is_over = is_over or chunk["type"] == "finish"
                answer.add(chunk)
        raise AssertionError("a stream ended, and did not say why")

    def _request(self) -> Any:
        if self._answer_id:
            headers = self._ask.headers | {"Answer-Id": self._answer_id}
            return self._site.http.stream(
                "GET", f"/api/chat/{self._ask.session}/stream", headers=headers
            )
        message = {
            "id": self._ask.turn_id,
            "role": "user",
            "parts": [{"type": "text", "text": self._ask.text}],
        }
        body = {"id": self._ask.session, "messages": [message], "trigger": "submit-message"}
        return self._site.http.stream("POST", "/api/chat", json=body, headers=self._ask.headers)


class _Answer:
    """What useChat keeps of a stream: each text that began is a part, and none of them goes."""

    def __init__(self) -> None:
        self._parts: list[list[str]] = []
        self._open: dict[str, list[str]] = {}
        """The parts to which pieces are added, by the ids that the stream has for them."""

    def add(self, chunk: dict[str, Any]) -> None:
        """The next chunk of the stream."""
        if chunk["type"] == "text-start":
            self._open[chunk["id"]] = []
            self._parts.append(self._open[chunk["id"]])
        elif chunk["type"] == "text-delta":
            self._open[chunk["id"]].append(chunk["delta"])
        elif chunk["type"] == "text-end":
            del self._open[chunk["id"]]

    @property
    def text(self) -> str:
        """All that is shown."""
        return "".join(piece for part in self._parts for piece in part)


def _check_error(text: str) -> None:
    """Return if the answer is to be resumed. Raises Failed if the turn failed."""
    if text.startswith(_FAILED):
        raise Failed(text)
    assert text.startswith(_RESUME) or "store" in text, f"a stream ended with {text!r}"
