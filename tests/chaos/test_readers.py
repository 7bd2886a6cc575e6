"""The readers of streams hold what real clients keep: void text that is left standing shows."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from chaos.clients import Ask, Reader, Site
from chaos.clients.ag_ui import ask_ag_ui
from chaos.clients.vercel import follow_vercel

ASK = Ask("owner-0", "turns-1", "t1", "op 1 plan ")
Events = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chaos.clients.site._PAUSE", 0.0)


async def held(reader: Reader, *streams: Events, last: str = "") -> str:
    """What a client holds in the end that gets one of these streams for each request."""
    left = list(streams)

    def answer(_: httpx.Request) -> httpx.Response:
        sent = [json.dumps(event) for event in left.pop(0)]
        return httpx.Response(200, text="".join(f"data: {data}\n\n" for data in [*sent, last]))

    site = Site("http://test")
    await site.http.aclose()
    site.http = httpx.AsyncClient(base_url="http://test", transport=httpx.MockTransport(answer))
    try:
        told = await reader(site, ASK)
    finally:
        await site.aclose()
    assert left == []
    assert told.text == told.streamed
    return told.text


async def on_a_page(*streams: Events) -> str:
    start = {"type": "start", "messageId": "answer-t1"}
    begun = [[start, {"type": "start-step"}, *stream] for stream in streams]
    return await held(follow_vercel, *begun, last="[DONE]")


def part(text: str, name: str = "text-1", *, ends: bool = True) -> Events:
    """A text in two pieces."""
    pieces = [{"type": "text-delta", "id": name, "delta": each} for each in (text[:2], text[2:])]
    end: Events = [{"type": "text-end", "id": name}] if ends else []
    return [{"type": "text-start", "id": name}, *pieces, *end]


FINISH: Events = [{"type": "finish-step"}, {"type": "finish", "finishReason": "stop"}]
RESUME = {"type": "error", "errorText": "The answer begins again: resume the stream."}


async def test_use_chat_keeps_every_text() -> None:
    assert await on_a_page([*part("answer"), *FINISH]) == "answer"
    several = [*part("an"), *part("swer", "text-2"), *FINISH]
    assert await on_a_page(several) == "answer"


@pytest.mark.parametrize("name", ["text-1", "text-2"])
@pytest.mark.parametrize("ends", [True, False])
async def test_use_chat_shows_void_text_that_stays(name: str, ends: bool) -> None:
    stream = [*part("void", ends=ends), *part("answer", name), *FINISH]
    assert await on_a_page(stream) == "voidanswer"


async def test_use_chat_drops_what_it_has_when_it_resumes() -> None:
    first, second = [*part("void", ends=False), RESUME], [*part("answer"), *FINISH]
    assert await on_a_page(first, second) == "answer"


async def in_a_thread(*streams: Events) -> str:
    begun = [[{"type": "RUN_STARTED", **RUN}, *stream] for stream in streams]
    return await held(ask_ag_ui, *begun)


def message(text: str, name: str) -> Events:
    """A message in two pieces."""
    of = {"messageId": name}
    pieces = [
        {"type": "TEXT_MESSAGE_CONTENT", **of, "delta": each} for each in (text[:2], text[2:])
    ]
    begun = {"type": "TEXT_MESSAGE_START", **of, "role": "assistant"}
    return [begun, *pieces, {"type": "TEXT_MESSAGE_END", **of}]


def snapshot(*messages: tuple[str, str, str]) -> dict[str, Any]:
    """Each with its role, its id and its text."""
    fields = ("role", "id", "content")
    found = [dict(zip(fields, each, strict=True)) for each in messages]
    return {"type": "MESSAGES_SNAPSHOT", "messages": found}


RUN = {"threadId": ASK.session, "runId": ASK.turn_id}
FINISHED = {"type": "RUN_FINISHED", **RUN, "outcome": {"type": "success"}}
RECONNECT = {"type": "RUN_ERROR", "message": "The run goes on.", "code": "reconnect"}
ASKED = ("user", ASK.turn_id, ASK.text)
EARLIER = [("user", "t0", "op 0 plan "), ("assistant", "t0-item-1", "earlier")]


async def test_ag_ui_keeps_every_message() -> None:
    assert await in_a_thread([*message("answer", "m1"), FINISHED]) == "answer"
    several = [*message("an", "m1"), *message("swer", "m2"), FINISHED]
    assert await in_a_thread(several) == "answer"


@pytest.mark.parametrize("name", ["m1", "m2"])
async def test_ag_ui_shows_void_text_that_stays(name: str) -> None:
    stream = [*message("void", "m1"), *message("answer", name), FINISHED]
    assert await in_a_thread(stream) == "voidanswer"
    again = [*message("answer", name), FINISHED]
    assert await in_a_thread([*message("void", "m1"), RECONNECT], again) == "voidanswer"


async def test_a_snapshot_says_which_messages_there_are() -> None:
    """What is above the message that was sent is no part of its answer."""
    answer = [*message("answer", "m1"), FINISHED]
    told = snapshot(*EARLIER, ASKED)
    assert await in_a_thread([*message("void", "m1"), told, *answer]) == "answer"
    assert await in_a_thread([*message("void", "m1"), RECONNECT], [told, *answer]) == "answer"
    left = snapshot(*EARLIER, ASKED, ("assistant", "m0", "void"))
    assert await in_a_thread([*message("void", "m0"), left, *answer]) == "voidanswer"


async def test_a_snapshot_without_the_message_that_was_sent() -> None:
    with pytest.raises(AssertionError, match="no snapshot has"):
        await in_a_thread([snapshot(*EARLIER), *message("answer", "m1"), FINISHED])
