"""Clients of the Responses API and of chat completions: OpenAI's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2  # what OpenAI's client uses
import openai

from chaos.clients.site import Ask, Failed, Site, Told, Unknown, again

_MODEL = "agent"
_VOID, _LOCKED = "answer_void", "conversation_locked"
_AGAIN = (429, 502, 503, 504)
_STOPS = "this server stops"


async def ask_responses(site: Site, ask: Ask) -> Told:
    """A response in one piece."""

    async def attempt() -> Told | None:
        response = await site.openai(ask).responses.create(**_response(ask))
        return _told(response, "")

    return await again(_tolerant(attempt))


async def follow_responses(site: Site, ask: Ask) -> Told:
    """A response in the background as a stream; where it breaks, go on from the last number."""
    page = _ResponsePage(site, ask)
    return await again(_tolerant(page.read))


async def ask_completions(site: Site, ask: Ask) -> Told:
    """A completion in one piece."""

    async def attempt() -> Told | None:
        completions = site.openai(ask).chat.completions
        found: Any = await completions.create(**_completion(ask))
        return Told(found.choices[0].message.content or "", "")

    return await again(_tolerant(attempt))


async def follow_completions(site: Site, ask: Ask) -> Told:
    """A completion as a stream; where it breaks, all of it again."""

    async def attempt() -> Told | None:
        shown, is_over = "", False
        completions = site.openai(ask).chat.completions
        stream: Any = await completions.create(**_completion(ask), stream=True)
        async with stream as chunks:
            async for chunk in chunks:
                for choice in chunk.choices:
                    shown += choice.delta.content or ""
                    is_over = is_over or choice.finish_reason is not None
        return Told(shown, shown) if is_over else None  # without its end: its server died

    return await again(_tolerant(attempt))


def _response(ask: Ask) -> dict[str, Any]:
    return {
        "model": _MODEL,
        "input": ask.text,
        "conversation": ask.session,
        "extra_headers": {"Idempotency-Key": ask.turn_id},
    }


def _completion(ask: Ask) -> dict[str, Any]:
    return {
        "model": _MODEL,
        "messages": [{"role": "user", "content": ask.text}],
        "extra_headers": {"X-Conversation-Id": ask.session, "X-Message-Id": ask.turn_id},
    }


class _ResponsePage:
    """What a client shows of a response's items, by their place."""

    def __init__(self, site: Site, ask: Ask) -> None:
        self._site = site
        self._ask = ask
        self._id = ""
        self._last: int | None = None
        self._texts: dict[int, str] = {}

    async def read(self) -> Told | None:
        async with await self._stream() as events:
            async for event in events:
                if event.type == "response.created":
                    self._id, self._texts = event.response.id, {}
                self._last = event.sequence_number
                if (told := self._show(event)) is not None:
                    return told
        return None  # its server died

    async def _stream(self) -> Any:
        responses = self._site.openai(self._ask).responses
        if not self._id:
            return await responses.create(**_response(self._ask), background=True, stream=True)
        after: dict[str, Any] = {} if self._last is None else {"starting_after": self._last}
        return await responses.retrieve(self._id, stream=True, **after)

    def _show(self, event: Any) -> Told | None:
        if event.type == "response.output_text.delta":
            self._texts[event.output_index] = self._texts.get(event.output_index, "") + event.delta
        elif event.type == "response.output_item.done" and event.item.status == "incomplete":
            self._texts.pop(event.output_index, None)  # it is void
        elif event.type in ("response.completed", "response.failed"):
            return _told(event.response, "".join(self._texts.values()))
        return None


def _told(response: Any, streamed: str) -> Told:
    if response.status in ("failed", "cancelled"):
        raise Failed(response.status)
    assert response.status == "completed", f"a response ended as {response.status}"
    return Told(response.output_text, streamed)


def _tolerant(
    attempt: Callable[[], Awaitable[Told | None]],
) -> Callable[[], Awaitable[Told | None]]:
    """The attempt, with what OpenAI's client raises told apart."""

    async def tolerant() -> Told | None:
        try:
            return await attempt()
        except (openai.APIConnectionError, httpx2.TransportError):  # the second one in streams
            return None
        except openai.NotFoundError:  # nobody has begun this conversation yet
            raise Unknown("NoConversation") from None
        except openai.APIStatusError as error:
            if error.status_code in _AGAIN or error.code in (_VOID, _LOCKED):
                return None
            raise _failure(error) from error
        except openai.APIError as error:  # in a stream
            if error.code == _VOID or _STOPS in error.message:
                return None
            raise _failure(error) from error

    return tolerant


def _failure(error: openai.APIError) -> Exception:
    if "cancelled" in error.message or "failed" in error.message:
        return Failed(error.message)
    return AssertionError(f"{error.request.url.path}: {error.message} ({error.code})")
