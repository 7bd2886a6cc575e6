"""One connection through a proxy."""

import asyncio
import re
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import suppress

from .faults import (
    Command,
    CutReply,
    DelayReply,
    DelayRequest,
    DropRequest,
    Fault,
    LoseReply,
    RefuseRequest,
)
from .framing import Framer

_CHUNK = 65_536
_PING = b"*1\r\n$4\r\nPING\r\n"

# Answered, in RESP2, by any number of messages that belong to no command.
_SUBSCRIBING = frozenset(
    prefix + kind for prefix in ("", "P", "S") for kind in ("SUBSCRIBE", "UNSUBSCRIBE")
)
_MESSAGE = re.compile(rb"\*\d\r\n\$\d+\r\n([ps]?message|[ps]?(un)?subscribe)\r\n")


_Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Cut(Exception):
    """Cuts the connection."""


class Connection:
    """One client's connection and ours to the server.

    `judge(frame)` returns a request's command and its fault, if any. `passing(data, to_server)` is
    awaited before data is forwarded, and counts it.
    """

    def __init__(
        self,
        judge: Callable[[bytes], tuple[Command, Fault | None]],
        passing: Callable[[bytes, bool], Awaitable[None]],
    ) -> None:
        self._judge = judge
        self._passing = passing
        self._pending: deque[Fault | None] = deque()
        self._subscribed = False

    async def serve(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        server: tuple[str, int],
    ) -> None:
        """Forward until the server has ended the connection, or a fault cuts it."""
        try:
            with suppress(OSError):
                from_server, to_server = await asyncio.open_connection(*server)
                try:
                    await self._exchange((reader, writer), (from_server, to_server))
                finally:
                    to_server.close()
            writer.close()
        except BaseException:
            writer.transport.abort()
            raise

    async def _exchange(self, client: _Streams, server: _Streams) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._requests(client[0], server[1]))
                tasks.create_task(self._replies(server[0], client[1]))
        except* (_Cut, OSError):
            pass

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer(requests=True)
        while data := await _read(reader):
            for frame in framer.feed(data):
                await self._request(frame, writer)
        # The server still gets and executes what was sent before.
        writer.write_eof()

    async def _request(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        command, fault = self._judge(frame)
        if isinstance(fault, DropRequest):
            raise _Cut
        if isinstance(fault, DelayRequest):
            await fault.hold()
        if isinstance(fault, RefuseRequest):
            frame = _PING  # whose reply comes when the refusal is due, and makes way for it
        if command.name in _SUBSCRIBING:
            self._subscribed = True
        elif command.name:
            self._pending.append(fault)
        await self._passing(frame, True)
        writer.write(frame)
        await writer.drain()

    async def _replies(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        framer = Framer()
        while data := await _read(reader):
            for frame in framer.feed(data):
                await self._reply(frame, writer)
        raise _Cut

    async def _reply(self, frame: bytes, writer: asyncio.StreamWriter) -> None:
        fault = self._pending.popleft() if self._pending and not self._is_message(frame) else None
        if isinstance(fault, LoseReply):
            raise _Cut
        if isinstance(fault, CutReply):
            await self._deliver(frame[: int(len(frame) * fault.share)], writer)
            raise _Cut
        if isinstance(fault, RefuseRequest):
            frame = f"-{fault.error}\r\n".encode()
        if isinstance(fault, DelayReply):
            await fault.hold()
        await self._deliver(frame, writer)

    async def _deliver(self, data: bytes, writer: asyncio.StreamWriter) -> None:
        await self._passing(data, False)
        # If the client is gone, the server executes what it has sent all the same.
        with suppress(OSError):
            if not writer.is_closing():  # asyncio logs each write to one that is
                writer.write(data)
                await writer.drain()

    def _is_message(self, frame: bytes) -> bool:
        if frame.startswith(b">"):
            return True
        return self._subscribed and _MESSAGE.match(frame) is not None


async def _read(reader: asyncio.StreamReader) -> bytes:
    # A reset is an end like any other.
    try:
        return await reader.read(_CHUNK)
    except OSError:
        return b""
