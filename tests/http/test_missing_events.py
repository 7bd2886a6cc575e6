"""Events of a turn may be lost, its answer never: each wire's client holds all of it in the end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from chaos.clients import WIRES, Ask
from chaos.clients import Site as Clients
from tests.http.site import STREAM, Site, events_of, site_of
from tests.http.typist import typist
from tests.integration.fault_lab import other_tasks
from tests.integration.stores import Sessions, new_sessions_of
from turnwise.codec import EncodeError
from turnwise.errors import StoreRefused
from turnwise.session import Session
from turnwise.stores.event_log import parse_event_id
from turnwise.types import Event

sessions = new_sessions_of(["memory"])
ANSWER = "re: one two three four five six"
Loss = Callable[[Session], None]


def the_end(session: Session) -> None:
    """The worker dies when it has committed the turn, before it sends the last events."""
    _append(session, lambda first, events, last: (events[: max(0, 4 - first)], False))


def a_piece(session: Session) -> None:
    """A model streams what is no JSON, once."""
    codec: Any = session.runtime.codec
    encode = codec.encode

    def refused(content: Any) -> Any:
        if isinstance(content, dict) and "' two'" in str(content.get("data")):
            raise EncodeError("not JSON")
        return encode(content)

    codec.encode = refused


def a_batch(session: Session) -> None:
    """The store refuses some events."""

    def refuse(first: int, events: list[bytes], last: bool) -> tuple[list[bytes], bool]:
        if first <= 3 < first + len(events) and not last:
            raise StoreRefused("out of memory", session_id="s")
        return events, last

    _append(session, refuse)


def the_beginning(session: Session) -> None:
    """A log keeps only so many."""
    log: Any = session.runtime.store.events
    read = log.read

    async def trimmed(session_id: str, turn_id: str, after: Any = None, timeout: float = 0) -> Any:
        found = await read(session_id, turn_id, after, timeout)
        while found.events and not (found.ended or any(map(is_kept, found.events))):
            # As a log that never had them: with nothing to say it waits.
            found = await read(session_id, turn_id, found.events[-1].id, timeout)
        found.events[:] = filter(is_kept, found.events)
        return found

    def is_kept(event: Event) -> bool:
        return parse_event_id(event.id)[1] > 3

    log.read = trimmed


def _append(session: Session, change: Callable[[int, list[bytes], bool], Any]) -> None:
    log: Any = session.runtime.store.events
    append = log.append

    async def changed(*args: Any, last: bool = False) -> Any:
        *names, first, events = args
        kept, last = change(first, list(events), last)
        return await append(*names, first, kept, last=last) if kept or last else True

    log.append = changed


def all_that_is_long(session: Session) -> None:
    """See `max_event_bytes` below."""


LOSSES = [the_end, a_piece, a_batch, the_beginning, all_that_is_long]


@pytest.fixture(params=LOSSES, ids=lambda loss: loss.__name__)
async def site(sessions: Sessions, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    limit = {"max_event_bytes": 1_000} if request.param is all_that_is_long else {}
    session = sessions.worker(**limit)
    request.param(session)
    async with site_of(session, [typist(name="agent")]) as site:
        yield site
    assert not other_tasks()


@pytest.mark.parametrize("wire", WIRES)
async def test_every_client_holds_the_answer(
    site: Site, wire: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    # It does not take the text that `message` repeats, and would miss what came before.
    monkeypatch.setattr("chaos.clients.chat._CLOSES", 0.0)
    clients = Clients(str(site.client.base_url).rstrip("/"))
    try:
        if wire in ("responses", "responses-stream"):  # whose conversation has to exist
            await site.chat("s", "hi")
        text = ANSWER.removeprefix("re: ")
        for _ in range(2):  # while it is made, and after
            told = await WIRES[wire](clients, Ask("me", "s", "k", text))
            assert told.text == ANSWER
            if (request.node.callspec.params["site"], wire) != (a_piece, "responses-stream"):
                assert told.streamed in (ANSWER, "")  # there `output_text.done` says all
    finally:
        await clients.aclose()


async def test_who_comes_back_is_told_again_unless_it_was_told(site: Site) -> None:
    body = {"session_id": "s", "message": ANSWER.removeprefix("re: ")}
    headers = {"Idempotency-Key": "k", **STREAM}
    async with site.client.stream("POST", "/chat", json=body, headers=headers) as response:
        *seen, done = [event async for event in events_of(response)]
    assert (done.event, done.data["response"]) == ("done", ANSWER)
    assert (await _come_back(site.client, done.id)).status_code == 204
    for each in seen:
        if each.id:
            again = await _come_back(site.client, each.id)
            assert again.text.count("event: done") == 1, each


async def _come_back(client: httpx.AsyncClient, event_id: str) -> httpx.Response:
    return await client.get("/chat/s/turns/k/events", headers={"Last-Event-ID": event_id})
