"""TLS in front of a server that was built without it."""

import asyncio
import ssl
from collections.abc import Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Self

from .ports import HOST, free_port


class TlsTerminator:
    """Accepts TLS on a free port and passes what is inside to `target_port` on 127.0.0.1.

    `certificate` and `key` are PEM files. It lives in the event loop that started it.
    """

    def __init__(self, target_port: int, certificate: Path, key: Path) -> None:
        self._target_port = target_port
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(certificate, key)
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.port = 0

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Listen; `port` is known from then on."""
        while self._server is None:
            self.port = free_port()
            with suppress(OSError):
                self._server = await asyncio.start_server(
                    self._accept, HOST, self.port, ssl=self._context
                )

    async def stop(self) -> None:
        """Stop listening and cut every connection."""
        if self._server is not None:
            self._server.close()
            self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(OSError):
                inner, target = await asyncio.open_connection(HOST, self._target_port)
                try:
                    await _until_one_ends(_copy(reader, target), _copy(inner, writer))
                finally:
                    target.close()
            writer.close()
        except asyncio.CancelledError:
            writer.transport.abort()


async def _until_one_ends(*copies: Coroutine[None, None, None]) -> None:
    tasks = [asyncio.create_task(copy) for copy in copies]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()
