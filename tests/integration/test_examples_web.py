"""The example that streams, on a real uvicorn: clients that disconnect, retry, and do not read.

What docs/web.md says happens then is what these tests saw.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.integration.programs import STARTED, programs, ready
from tests.scripted import outline
from turnwise import Session, connect
from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.process import Process

pytestmark = pytest.mark.asyncio(loop_scope="module")

LARGE = 6 << 20  # more bytes than the buffers between the server and a client hold
STREAMS = ["/attached", "/stream"]
AROUND = ["", "/middleware", "/scope"]
"""Nothing, Starlette's BaseHTTPMiddleware, or anyio's cancel scope around the API."""


class Site:
    """The API in a process of its own, and the sessions that it writes to."""

    def __init__(
        self, process: Process, client: httpx.AsyncClient, session: Session, folder: Path
    ) -> None:
        self.process = process
        self.client = client
        self.session = session
        self._folder = folder

    def calls(self, text: str) -> list[str]:
        """The calls of the model and of the tool for this message."""
        log = self._folder / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        return [
            word for word, _, message in (line.partition(" ") for line in lines) if message == text
        ]

    async def send(
        self, path: str, session_id: str, text: str = "", turn_id: str = ""
    ) -> list[dict[str, Any]]:
        """Post a message; the events of the answer."""
        message = body(session_id, text, turn_id)
        async with self.client.stream("POST", path, json=message) as response:
            return [event async for event in events_of(response)]

    async def disconnect_in_mid_turn(self, path: str, session_id: str) -> None:
        """Disconnect when the tool has run and the model is asked again, and halted."""
        self.halt(session_id)
        sending = asyncio.create_task(self.send(path, session_id))
        await self.wait(lambda: self.calls(session_id) == ["model", "tool", "model"])
        sending.cancel()
        await asyncio.wait({sending})

    def halt(self, text: str) -> None:
        (self._folder / halt_file(text)).touch()

    def resume(self, text: str) -> None:
        (self._folder / halt_file(text)).unlink()

    async def wait(self, condition: Callable[[], Any]) -> None:
        async def reached() -> bool:
            found = condition()
            return bool(await found if asyncio.iscoroutine(found) else found)

        await ready(self.process, reached, "what the test waits for")

    async def wait_until_released(self, session_id: str, turn_id: str = "") -> None:
        """No worker runs the turn any more."""

        async def is_released() -> bool:
            return not (await self.session.status(session_id, turn_id or session_id)).alive

        await self.wait(is_released)

    async def waits(self, session_id: str, number: int) -> bool:
        """Whether so many callers wait in the session's queue."""
        info = await self.session.info(session_id)
        return number == (0 if info is None else info.queued)

    async def history(self, session_id: str) -> list[str]:
        items = await self.session.bind(session_id).get_items()
        return [item.partition(" call_")[0] for item in outline(items)]


def halt_file(text: str) -> str:
    return f"halt {text.replace('/', '-')}"


def body(session_id: str, text: str = "", turn_id: str = "") -> dict[str, str]:
    """A message; the session's id stands for what a test does not name."""
    return {
        "session_id": session_id,
        "text": text or session_id,
        "turn_id": turn_id or session_id,
    }


def turn(text: str) -> list[str]:
    """What a turn adds to the history."""
    return [text, "call", "output", f"{text} shipped"]


async def events_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    """Server-sent events: their data, with `event` and `id`."""
    assert response.status_code == 200
    event: dict[str, Any] = {}
    async for line in response.aiter_lines():
        name, _, value = line.partition(": ")
        if not line:
            yield event
            event = {}
        elif name == "data":
            event |= json.loads(value)
        else:
            event[name] = value


def text_of(events: list[dict[str, Any]]) -> str:
    """The answer, if it came to its end."""
    assert events[-1]["event"] == "done", events
    return "".join(event.get("text", "") for event in events).strip()


@asynccontextmanager
async def site_in(folder: Path, **environment: str) -> AsyncIterator[Site]:
    url, port = f"sqlite:///{folder / 'sessions.db'}", free_port()
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(programs(folder))
        process = started.python(
            *(
                "-m",
                "uvicorn",
                "tests.integration.web_app:app",
                "--host",
                HOST,
                "--port",
                str(port),
            ),
            environment={"TURNWISE_URL": url, "WEB_APP_FOLDER": str(folder), **environment},
        )
        client = httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=STARTED)
        await stack.enter_async_context(client)
        session = await stack.enter_async_context(connect(url))

        async def answers() -> bool:
            try:
                return (await client.get("/docs")).status_code == 200
            except httpx.TransportError:
                return False

        await ready(process, answers, "the API answered")
        yield Site(process, client, session, folder)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    async with site_in(tmp_path_factory.mktemp("site")) as site:
        yield site


@contextmanager
def client_that_does_not_read(site: Site, path: str, session_id: str) -> Iterator[socket.socket]:
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect((HOST, site.client.base_url.port))
        content = json.dumps(body(session_id)).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
        yield client


@pytest.mark.parametrize("around", AROUND)
async def test_a_disconnect_rolls_an_attached_turn_back_and_a_retry_continues_it(
    site: Site, around: str
) -> None:
    name = f"attached {around}"
    await site.disconnect_in_mid_turn(f"{around}/attached", name)
    await site.wait_until_released(name)
    assert await site.history(name) == []
    site.resume(name)
    assert text_of(await site.send(f"{around}/attached", name)) == f"{name} shipped"
    assert await site.history(name) == turn(name)
    # The tool had run, and so had the first response; the second was in flight.
    assert site.calls(name) == ["model", "tool", "model", "model"]


@pytest.mark.parametrize(
    "path", [*(f"{around}/stream" for around in AROUND), "/plain", "/middleware/plain"]
)
async def test_a_turn_is_committed_without_its_client(site: Site, path: str) -> None:
    name = f"gone {path}"
    await site.disconnect_in_mid_turn(path, name)
    assert (await site.session.status(name, name)).alive
    site.resume(name)
    await site.wait_until_released(name)
    assert await site.history(name) == turn(name)
    for stream in STREAMS:  # a retry gets the stored answer
        assert text_of(await site.send(stream, name)) == f"{name} shipped"
    assert site.calls(name) == ["model", "tool", "model"]


async def test_a_run_that_is_not_streamed_ends_with_the_task_that_awaits_it(site: Site) -> None:
    await site.disconnect_in_mid_turn("/scope/plain", "plain")
    await site.wait_until_released("plain")
    assert await site.history("plain") == []
    site.resume("plain")
    assert text_of(await site.send("/stream", "plain")) == "plain shipped"
    assert site.calls("plain") == ["model", "tool", "model", "model"]


async def test_a_message_is_followed_from_where_a_lost_connection_left_off(site: Site) -> None:
    site.halt("m")
    urls = {(await site.client.post("/messages", json=body("m"))).json()["events"] for _ in "12"}
    (url,) = urls  # sent twice
    async with site.client.stream("GET", url):
        await site.wait(lambda: site.calls("m") == ["model", "tool", "model"])
    site.resume("m")
    async with site.client.stream("GET", url) as response:
        events = [event async for event in events_of(response)]
    assert text_of(events) == "m shipped"
    assert events[-1]["state"] == "committed"
    for number, event in enumerate(events):
        last_id = {"Last-Event-ID": event["id"]}
        async with site.client.stream("GET", url, headers=last_id) as response:
            assert [event async for event in events_of(response)] == events[number + 1 :]
    assert site.calls("m") == ["model", "tool", "model"]


async def test_a_message_sent_twice_at_once_is_answered_once(site: Site) -> None:
    paths = [*STREAMS, *STREAMS]
    answers = await asyncio.gather(*(site.send(path, "double") for path in paths))
    assert {text_of(events) for events in answers} == {"double shipped"}
    assert await site.history("double") == turn("double")
    assert site.calls("double") == ["model", "tool", "model"]


async def test_messages_for_one_session_are_answered_one_after_the_other(site: Site) -> None:
    texts = ["one", "two", "three"]
    paths = ["/attached", "/stream", "/attached"]
    sendings = zip(paths, texts, strict=True)
    answers = await asyncio.gather(
        *(site.send(path, "busy", text, text) for path, text in sendings)
    )
    assert [text_of(events) for events in answers] == [f"{text} shipped" for text in texts]
    history = await site.history("busy")
    turns = [history[first : first + 4] for first in range(0, len(history), 4)]
    assert sorted(turns) == sorted(turn(text) for text in texts)


async def test_a_client_that_disconnects_in_the_queue(site: Site) -> None:
    """An attached turn leaves the queue; others run when the session is free."""
    await site.disconnect_in_mid_turn("/stream", "queue")
    for number, path in enumerate(["/stream", "/plain", "/attached"]):
        waiting = asyncio.create_task(site.send(path, "queue", path, path))
        await site.wait(partial(site.waits, "queue", number + 1))
        waiting.cancel()
    await site.wait(partial(site.waits, "queue", 2))
    site.resume("queue")
    assert text_of(await site.send("/attached", "queue", "last", "last")) == "last shipped"
    assert await site.history("queue") == [
        *turn("queue"),
        *turn("/stream"),
        *turn("/plain"),
        *turn("last"),
    ]
    assert site.calls("/attached") == []


async def test_a_reader_that_stops_reading_has_gone(tmp_path: Path) -> None:
    async with site_in(tmp_path, STREAM_IDLE_SECONDS="0.5", LONG_ANSWER=str(LARGE)) as site:
        with (
            client_that_does_not_read(site, "/attached", "held") as held,
            client_that_does_not_read(site, "/stream", "free"),
        ):
            await site.wait(lambda: site.calls("held") == ["model", "tool"])
            await site.wait(lambda: site.calls("free") == ["model", "tool", "model"])
            await site.wait_until_released("held")
            await site.wait_until_released("free")
            assert (await site.session.status("free", "free")).state == "committed"
            assert b'"error": "StreamIdle"' in await asyncio.to_thread(read_to_end, held)
        assert await site.history("held") == []
        assert len(await site.history("free")) == 6  # with a long message before each step


def read_to_end(client: socket.socket) -> bytes:
    received = b""
    client.settimeout(STARTED)
    while not received.endswith(b"\r\n0\r\n\r\n"):  # the last chunk
        received += client.recv(1 << 20)
    return received


@pytest.mark.parametrize("path", STREAMS)
async def test_a_server_that_is_told_to_end_lets_turns_end_first(tmp_path: Path, path: str) -> None:
    """Those whose client reads on, and those without a client."""
    async with site_in(tmp_path) as site:
        if path == "/stream":
            await site.disconnect_in_mid_turn(path, "late")
        else:
            site.halt("late")
            sending = asyncio.create_task(site.send(path, "late"))
            await site.wait(lambda: site.calls("late") == ["model", "tool", "model"])
        ending = asyncio.create_task(site.process.terminate(STARTED))
        waits_for = "connections to close" if path == "/attached" else "application shutdown"

        async def shuts_down() -> bool:
            return f"Waiting for {waits_for}" in site.process.log()

        await site.wait(shuts_down)
        site.resume("late")
        if path == "/attached":
            assert text_of(await sending) == "late shipped"
        await ending
        assert await site.history("late") == turn("late")
