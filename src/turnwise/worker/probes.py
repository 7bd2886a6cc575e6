"""What monitoring asks of a worker process over HTTP: its metrics, whether it lives, is ready."""

from __future__ import annotations

import asyncio
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

_TIMEOUT = 5.0
"""Seconds for one request: who sends or reads more slowly is cut off."""
_TEXT = "text/plain; charset=utf-8"

Answer = tuple[HTTPStatus, str, bytes]


class Probes:
    """Answers GET for `/healthz`, `/readyz` and `/metrics`, one request on each connection.

    It runs on the worker's event loop, so a loop that code blocks answers none of them. A liveness
    probe then ends a process that has lost its leases.

    Args:
        unready: Says why the worker is not ready; "" if it is.
        metrics: Renders the metrics.
        metrics_type: Their content type.
    """

    def __init__(
        self,
        unready: Callable[[], Awaitable[str]],
        metrics: Callable[[], Awaitable[bytes]],
        metrics_type: str,
    ) -> None:
        self._unready = unready
        self._metrics = metrics
        self._metrics_type = metrics_type

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Listen in the block, which gets the port: a free one for 0. Raises OSError."""
        server = await asyncio.start_server(self._serve, host, port)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            async with asyncio.timeout(_TIMEOUT):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(await self._response(head))
                await writer.drain()
        except (OSError, IncompleteReadError, LimitOverrunError):
            pass  # it went away, was too slow (a TimeoutError is an OSError), or speaks no HTTP
        finally:
            writer.close()

    async def _response(self, head: bytes) -> bytes:
        method, _, rest = head.partition(b" ")
        path = rest.partition(b" ")[0].partition(b"?")[0].decode(errors="replace")
        if method in (b"GET", b"HEAD"):
            status, kind, body = await self._answer(path)
        else:
            status, kind, body = _text(HTTPStatus.METHOD_NOT_ALLOWED, "only GET is answered")
        lines = (
            f"HTTP/1.1 {status.value} {status.phrase}",
            f"Content-Type: {kind}",
            f"Content-Length: {len(body)}",
            "Cache-Control: no-store",
            "Connection: close",
        )
        whole = "".join(f"{line}\r\n" for line in (*lines, "")).encode()
        return whole if method == b"HEAD" else whole + body

    async def _answer(self, path: str) -> Answer:
        if path == "/healthz":
            return _text(HTTPStatus.OK, "ok")
        if path == "/readyz":
            why = await self._unready()
            status = HTTPStatus.SERVICE_UNAVAILABLE if why else HTTPStatus.OK
            return _text(status, why or "ok")
        if path == "/metrics":
            return HTTPStatus.OK, self._metrics_type, await self._metrics()
        return _text(HTTPStatus.NOT_FOUND, "there are /healthz, /readyz and /metrics")


def _text(status: HTTPStatus, text: str) -> Answer:
    return status, _TEXT, f"{text}\n".encode()
