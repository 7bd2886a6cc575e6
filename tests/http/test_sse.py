"""The response that streams: slow readers, silence, and the end of the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.fault_lab import other_tasks
from turnwise.http import sse
from turnwise.http.sse import EventStream, Streams, frame
from turnwise.testing.servers.waiting import until


@pytest.fixture(autouse=True)
async def nothing_is_left() -> AsyncIterator[None]:
    yield
    assert not other_tasks()


class Reader:
    """The other end of a connection: takes what is sent while `reads` is set."""

    def __init__(self) -> None:
        self.got = ""
        self.headers: dict[str, str] = {}
        self.reads = asyncio.Event()
        self.reads.set()
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._left.set()

    async def receive(self) -> dict[str, Any]:
        await self._left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            await self.reads.wait()
            self.got += message["body"].decode()

    async def has(self, text: str) -> None:
        async def reached() -> bool:
            return text in self.got

        await until(reached, 30, f"{text!r} came")

    async def read(self, response: EventStream) -> None:
        await response({"type": "http"}, self.receive, self.send)


class Frames:
    """Frames that a test lets come."""

    def __init__(self) -> None:
        self.taken = 0
        self.is_closed = False
        self._queue: asyncio.Queue[str | None] = asyncio.Queue()

    def put(self, *texts: str | None) -> None:
        for text in texts:
            self._queue.put_nowait(text)

    async def __call__(self) -> AsyncIterator[str]:
        try:
            while (text := await self._queue.get()) is not None:
                self.taken += 1
                yield text
        finally:
            self.is_closed = True


def test_a_frame_has_a_line_for_each_line_of_data() -> None:
    assert frame("a\nb\rc\r\nd", event="e", id="1", retry=2) == (
        "event: e\nid: 1\nretry: 2\ndata: a\ndata: b\ndata: c\ndata: d\n\n"
    )
    assert frame("") == "data: \n\n"


async def test_frames_are_sent_as_they_come_and_to_the_end() -> None:
    frames, reader = Frames(), Reader()
    reading = asyncio.create_task(reader.read(Streams().response(frames(), farewell="bye")))
    frames.put("one")
    await reader.has("one")
    frames.put("two", "three", None)
    await reading
    assert reader.got == "onetwothree"
    assert reader.headers["x-accel-buffering"] == "no"
    assert reader.headers["content-type"].startswith("text/event-stream")
    assert "content-length" not in reader.headers


async def test_silence_is_filled_with_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "KEEP_ALIVE", 0.01)
    frames, reader = Frames(), Reader()
    reading = asyncio.create_task(reader.read(Streams().response(frames())))
    await reader.has(": keep-alive\n\n: keep-alive\n\n")
    frames.put("one", None)
    await reading
    assert reader.got.endswith("one")


async def test_a_reader_who_does_not_read_costs_bounded_memory() -> None:
    frames, reader = Frames(), Reader()
    reader.reads.clear()
    large = "x" * 10_000
    frames.put(*[large] * 100, None)
    reading = asyncio.create_task(reader.read(Streams().response(frames())))

    async def holds() -> bool:
        return frames.taken >= 7

    await until(holds, 30, "frames were taken")
    for _ in range(100):
        await asyncio.sleep(0)
    assert frames.taken <= 16  # what is being sent, and what is next
    reader.reads.set()
    await reading
    assert reader.got == large * 100


async def test_a_reader_who_leaves_ends_it() -> None:
    frames, reader, streams = Frames(), Reader(), Streams()
    reading = asyncio.create_task(reader.read(streams.response(frames(), farewell="bye")))
    frames.put("one")
    await reader.has("one")
    assert len(streams) == 1
    reader.leave()
    await reading
    assert (frames.is_closed, len(streams), reader.got) == (True, 0, "one")


async def test_the_end_of_the_server_is_said() -> None:
    streams, readers = Streams(), [Reader(), Reader()]
    frames = [Frames(), Frames()]
    reading = [
        asyncio.create_task(reader.read(streams.response(each(), farewell="bye")))
        for reader, each in zip(readers, frames, strict=True)
    ]
    frames[0].put("one")
    await readers[0].has("one")
    streams.end()
    await asyncio.gather(*reading)
    late = Reader()
    await late.read(streams.response(Frames()(), farewell="bye"))
    assert [reader.got for reader in (*readers, late)] == ["onebye", "bye", "bye"]
    assert all(each.is_closed for each in frames)


async def test_a_farewell_may_depend_on_what_was_sent() -> None:
    streams, frames, reader = Streams(), Frames(), Reader()
    response = streams.response(frames(), farewell=lambda: f"bye after {frames.taken}")
    reading = asyncio.create_task(reader.read(response))
    frames.put("one", "two")
    await reader.has("two")
    streams.end()
    await reading
    assert reader.got == "onetwobye after 2"


async def test_a_stream_that_has_ended_says_no_farewell() -> None:
    streams, frames, reader = Streams(), Frames(), Reader()
    reader.reads.clear()
    reading = asyncio.create_task(reader.read(streams.response(frames(), farewell="bye")))
    frames.put("one", None)

    async def closed() -> bool:
        return frames.is_closed

    await until(closed, 30, "the frames ended")
    streams.end()
    reader.reads.set()
    await reading
    assert reader.got == "one"


async def test_an_error_breaks_the_connection() -> None:
    async def failing() -> AsyncIterator[str]:
        yield "one"
        raise ValueError("unforeseen")

    reader = Reader()
    with pytest.raises(ValueError, match="unforeseen"):
        await reader.read(Streams().response(failing()))
    assert reader.got == "one"


async def test_half_a_surrogate_pair_does_no_harm() -> None:
    frames, reader = Frames(), Reader()
    frames.put("a\ud800b", None)
    await reader.read(Streams().response(frames()))
    assert reader.got == "a?b"
