"""The proxy: it listens, injects faults and counts traffic."""

import asyncio
import socket
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Self
from urllib.parse import urlsplit

from .connection import Connection
from .faults import Command, Fault, Faults
from .framing import command_words


@dataclass(slots=True)
class Traffic:
    """What went through the proxy: names of commands, in order of arrival, and bytes.

    `round_trips` counts requests that followed a reply; it is right for one connection only.
    """

    names: list[str] = field(default_factory=list)
    to_server: int = 0
    to_client: int = 0
    round_trips: int = 0
    _asking: bool = False

    @property
    def commands(self) -> int:
        return len(self.names)

    @property
    def counts(self) -> Counter[str]:
        """How often each command was sent."""
        return Counter(self.names)

    def add(self, count: int, to_server: bool) -> None:
        """Count bytes."""
        self.round_trips += to_server and not self._asking
        self._asking = to_server
        if to_server:
            self.to_server += count
        else:
            self.to_client += count


class FaultProxy:
    """A proxy on a free port of 127.0.0.1 in front of `target_host:target_port`.

    `faults` is called for every command, and can be replaced at any time; None injects nothing. Of
    the SUBSCRIBE family only requests can be faulted. `injected` lists commands and their faults.
    """

    def __init__(self, target_host: str, target_port: int, *, faults: Faults | None = None) -> None:
        self.faults = faults
        self.injected: list[tuple[Command, Fault]] = []
        self.total = Traffic()
        self.host = "127.0.0.1"
        self.port = 0
        self._target = target_host, target_port
        self._url_parts = "", "/0"
        self._measuring: list[Traffic] = [self.total]
        self._connections: set[asyncio.Task[None]] = set()
        self._opened = 0
        self._silent = 0
        self._ordinal = 0
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._server: asyncio.Server | None = None
        self._reserved: socket.socket | None = None

    @classmethod
    def before(cls, url: str, *, faults: Faults | None = None) -> Self:
        """In front of the server at `url` (redis://...), whose login goes into `proxy.url`."""
        parts = urlsplit(url)
        if parts.scheme not in ("redis", "valkey"):
            raise ValueError(f"the proxy cannot look into {parts.scheme}://")
        proxy = cls(parts.hostname or "127.0.0.1", parts.port or 6379, faults=faults)
        login, at, _ = parts.netloc.rpartition("@")
        query = f"?{parts.query}" if parts.query else ""
        proxy._url_parts = login + at, parts.path + query
        return proxy

    @property
    def url(self) -> str:
        """redis://127.0.0.1:<port>/0, or with login and database as given to `before`."""
        login, rest = self._url_parts
        return f"redis://{login}{self.host}:{self.port}{rest}"

    async def __aenter__(self) -> Self:
        self._reserved = _reserve(self.host, 0)
        self.port = self._reserved.getsockname()[1]
        await self.accept()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.refuse()
        if self._reserved is not None:
            self._reserved.close()
            self._reserved = None
        await self.drop_connections()

    def pause(self) -> None:
        """Hold back all that arrives, in both directions. Connections are still accepted."""
        self._flowing.clear()

    def resume(self) -> None:
        """Forward again, first what was held back."""
        self._flowing.set()

    def silence(self) -> None:
        """Forward nothing more on the connections that are open now, and tell nobody.

        So does a firewall that drops what was idle for too long. New connections work.
        """
        self._silent = self._opened

    def lead_to(self, host: str, port: int) -> None:
        """Lead new connections to another server, as a load balancer does after a failover."""
        self._target = host, port

    def refuse(self) -> None:
        """Refuse new connections; existing ones stay."""
        if self._server is None:
            return
        self._server.close()
        self._server = None
        # Bound but not listening: connecting fails, and nobody else gets the port.
        self._reserved = _reserve(self.host, self.port)

    async def accept(self) -> None:
        """Accept connections again."""
        if self._server is None:
            reserved, self._reserved = self._reserved, None
            self._server = await asyncio.start_server(self._open, sock=reserved)

    async def drop_connections(self) -> None:
        """Cut all connections; what was held back is lost."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    @contextmanager
    def measure(self) -> Iterator[Traffic]:
        """Count the traffic during the block, handshakes of connections included."""
        traffic = Traffic()
        self._measuring.append(traffic)
        try:
            yield traffic
        finally:
            self._measuring = [other for other in self._measuring if other is not traffic]

    def _open(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._opened += 1
        number = self._opened
        connection = Connection(partial(self._judge, number), partial(self._passing, number))
        task = asyncio.create_task(connection.serve(reader, writer, self._target))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    def _judge(self, connection: int, frame: bytes) -> tuple[Command, Fault | None]:
        name, *args = command_words(frame)
        self._ordinal += 1
        # Interned, as a long run lists few names very often.
        named = sys.intern(name.decode(errors="replace").upper())
        command = Command(named, tuple(args), self._ordinal, connection)
        for traffic in self._measuring:
            traffic.names.append(command.name)
        fault = self.faults(command) if self.faults is not None else None
        if fault is not None:
            self.injected.append((command, fault))
        return command, fault

    async def _passing(self, connection: int, data: bytes, to_server: bool) -> None:
        await self._flowing.wait()
        if connection <= self._silent:
            await asyncio.Event().wait()
        for traffic in self._measuring:
            traffic.add(len(data), to_server)


def _reserve(host: str, port: int) -> socket.socket:
    reserved = socket.socket()
    reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    reserved.bind((host, port))
    return reserved
