"""Server-Sent Events: frames, the response that sends them, and what ends it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import ExitStack, aclosing
from typing import Any, cast

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from turnwise.http.principals import Principal
from turnwise.http.quotas import Quotas

KEEP_ALIVE = 15.0
"""Seconds of silence after which a comment is sent: proxies close what says nothing."""
_COMMENT = ": keep-alive\n\n"
_MAX_UNSENT = 64 * 1024
"""Characters of frames that wait for a slow reader. The rest waits in the store."""
_LINES = re.compile("\r\n|\r|\n")
_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def frame(
    data: str, *, event: str | None = None, id: str | None = None, retry: int | None = None
) -> str:
    """One event as text.

    Args:
        data: What it carries; each of its lines becomes a `data:` line.
        event: Its type; None for "message".
        id: What the reader names when it comes back. Clients of OpenAI's wires do not expect one.
        retry: Milliseconds after which a reader comes back; likewise.
    """
    lines = [] if event is None else [f"event: {event}"]
    if id is not None:
        lines.append(f"id: {id}")
    if retry is not None:
        lines.append(f"retry: {retry}")
    parts = _LINES.split(data) if "\n" in data or "\r" in data else [data]
    lines.extend(f"data: {line}" for line in parts)
    return "\n".join(lines) + "\n\n"


class Streams:
    """The streams of one process. `end` ends them all, and those that begin later.

    `quotas` counts those of each principal; None for no limit.
    """

    def __init__(self, quotas: Quotas | None = None) -> None:
        self.quotas = quotas
        self._open: set[EventStream] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._open)

    def response(
        self,
        frames: AsyncIterator[str],
        *,
        farewell: str | Callable[[], str] = "",
        headers: Mapping[str, str] | None = None,
    ) -> EventStream:
        """The response that sends these frames as they come.

        It sends a comment where nothing comes for `KEEP_ALIVE` seconds. It reads ahead of a slow
        reader by a bounded number of frames. When the reader goes away, `frames` is closed.

        Args:
            frames: Events as text. An error that it raises breaks the connection: a wire says it
                in a frame instead.
            farewell: Sent when the server stops before `frames` has ended: what tells the reader
                to come back. A function is called then, behind the last frame that is sent.
            headers: Sent too.
        """
        return EventStream(self, frames, farewell, {**_HEADERS, **(headers or {})})

    def admit(self, principal: Principal) -> ExitStack:
        """Count one more stream of the principal's until this is closed: HTTPException 429."""
        admitted = ExitStack()
        if self.quotas is not None:
            admitted.enter_context(self.quotas.stream(principal))
        return admitted

    def end(self) -> None:
        """Let each stream say farewell, now: the server stops."""
        self._ended = True
        for stream in self._open:
            stream.end()

    def opened(self, stream: EventStream) -> None:
        """`EventStream` begins."""
        self._open.add(stream)
        if self._ended:
            stream.end()

    def closed(self, stream: EventStream) -> None:
        """`EventStream` has ended."""
        self._open.discard(stream)


class EventStream(Response):
    """Sends frames; `Streams.response` makes it."""

    media_type = "text/event-stream"

    def __init__(
        self,
        streams: Streams,
        frames: AsyncIterator[str],
        farewell: str | Callable[[], str],
        headers: Mapping[str, str],
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(headers)
        self.streams = streams
        self._frames = frames
        self._farewell = farewell
        self._unsent: list[str] = []
        self._size = 0
        self._news = asyncio.Event()
        self._room = asyncio.Event()
        self._is_ending = False
        self._is_left = False
        self.admitted = ExitStack()
        """What `Streams.admit` gave for it; it is closed when the stream ends."""

    def end(self) -> None:
        """Send no more frames, but the farewell."""
        self._is_ending = True
        self._news.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.streams.opened(self)
        reading = asyncio.create_task(self._read(), name="turnwise-frames")
        listening = asyncio.create_task(self._listen(receive), name="turnwise-reader")
        reading.add_done_callback(lambda _: self._news.set())
        try:
            await send(
                {
                    "type": "http.response.start",
                    "status": self.status_code,
                    "headers": self.raw_headers,
                }
            )
            await self._send_all(reading, send)
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            self.streams.closed(self)
            self.admitted.close()
            for task in (reading, listening):
                task.cancel()
            await asyncio.gather(reading, listening, return_exceptions=True)

    async def _send_all(self, reading: asyncio.Task[None], send: Send) -> None:
        while not self._is_left:
            text = await self._next()
            if self._is_ending and not reading.done():
                text += self._farewell if isinstance(self._farewell, str) else self._farewell()
            if text:
                body = text.encode(errors="replace")  # a model may say half a surrogate pair
                await send({"type": "http.response.body", "body": body, "more_body": True})
            if self._is_ending or (reading.done() and not self._unsent):
                break
        if reading.done() and not self._is_left:
            reading.result()

    async def _next(self) -> str:
        """What has come since the last call, as soon as there is something; or a comment."""
        try:
            async with asyncio.timeout(KEEP_ALIVE):
                await self._news.wait()
        except TimeoutError:
            return _COMMENT
        self._news.clear()
        text = "".join(self._unsent)
        self._unsent.clear()
        self._size = 0
        self._room.set()
        return text

    async def _read(self) -> None:
        """Take frames, as many as there is room for."""
        async with aclosing(cast(Any, self._frames)) as frames:
            async for text in frames:
                self._unsent.append(text)
                self._size += len(text)
                self._news.set()
                while self._size >= _MAX_UNSENT:
                    self._room.clear()
                    await self._room.wait()

    async def _listen(self, receive: Receive) -> None:
        """Return when the reader has gone away."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._is_left = True
        self._news.set()
