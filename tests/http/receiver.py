"""Who is told by webhooks: it answers as a test says, and keeps what it was sent."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from openai import OpenAI

from turnwise.testing.servers.ports import HOST, free_port
from turnwise.testing.servers.waiting import until

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGUgdGVzdHM="
_LONGEST = 120.0  # seconds
_client = OpenAI(api_key="none")


@dataclass(frozen=True)
class Webhook:
    """One that came, as `body` and `headers`."""

    body: str
    headers: dict[str, str]

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    def event(self, secret: str = SECRET) -> Any:
        """What OpenAI's own client makes of it. Raises if the signature is not right."""
        return _client.webhooks.unwrap(self.body, self.headers, secret=secret)


@dataclass
class Receiver:
    """`answers` are the next status lines; then 200. An empty one is no answer at all."""

    port: int = field(default_factory=free_port)
    got: list[Webhook] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}/hooks"

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        server = await asyncio.start_server(self._receive, HOST, self.port)
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def has(self, count: int) -> list[Webhook]:
        """Wait until so many have come."""

        async def came() -> bool:
            return len(self.got) >= count

        await until(came, _LONGEST, f"{count} webhooks came")
        return self.got

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head, *lines = (await reader.readuntil(b"\r\n\r\n")).decode().strip().split("\r\n")
        assert head.startswith("POST /hooks ")
        headers = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        body = (await reader.readexactly(int(headers["content-length"]))).decode()
        self.got.append(Webhook(body, headers))
        answer = self.answers.pop(0) if self.answers else "200 OK"
        if answer:
            writer.write(
                f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n".encode()
            )
            writer.write(b"\r\n")
            writer.close()
        else:
            await reader.read()  # until the other side goes away
            writer.close()
