"""A server in this process, with its worker inside, and what its clients read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from agents import Agent

from tests.integration.background_lab import QUICK
from turnwise.http.app import WIRES, Wire
from turnwise.http.gateway import Gateway
from turnwise.http.replica import Replica
from turnwise.http.serve import serve
from turnwise.http.webhook import Webhook
from turnwise.session import Session
from turnwise.worker import Worker

STREAM = {"Accept": "text/event-stream"}


@dataclass
class Site:
    """A server that runs.

    Attributes:
        client: Reaches it.
        replica: The server.
        session: What it serves.
    """

    client: httpx.AsyncClient
    replica: Replica
    session: Session

    async def chat(
        self, session_id: str, message: str, key: str | None = None, **more: Any
    ) -> httpx.Response:
        """Send a message; its answer as JSON."""
        body = {"session_id": session_id, "message": message, **more}
        headers = {} if key is None else {"Idempotency-Key": key}
        return await self.client.post("/chat", json=body, headers=headers)


@asynccontextmanager
async def site_of(
    session: Session,
    agents: Sequence[Agent[Any]],
    *,
    works: bool = True,
    grace: float = 20,
    webhook: Webhook | None = None,
    wires: Sequence[Wire] = WIRES,
) -> AsyncIterator[Site]:
    """`works`: whether its worker runs inside."""
    worker = Worker(session, agents, policy=QUICK, grace=grace) if works else None
    replica = Replica(Gateway(session, agents, webhook=webhook), worker)
    address = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(replica, "127.0.0.1", 0, wires=wires, on_ready=address.set_result)
    )
    try:
        await asyncio.wait({serving, address}, return_when=asyncio.FIRST_COMPLETED)
        async with httpx.AsyncClient(base_url=address.result(), timeout=60) as client:
            yield Site(client, replica, session)
    finally:
        replica.stop()
        await serving


@dataclass(frozen=True)
class Sent:
    """One event of a stream."""

    event: str
    data: Any
    id: str = ""


async def events_of(response: httpx.Response) -> AsyncIterator[Sent]:
    """The events of a stream, as they come."""
    assert response.status_code == 200, await response.aread()
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line and not line.startswith(":"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields and not line:
            yield Sent(fields["event"], json.loads(fields["data"]), fields.get("id", ""))
            fields = {}


def said(events: Sequence[Sent]) -> str:
    """The text that a reader shows at the end of these events."""
    shown, building = "", ""
    for each in events:
        if each.event == "reset":
            shown = building = ""
        elif each.event == "delta":
            building += each.data["text"]
        elif each.event == "message":
            shown, building = shown + each.data["text"], ""
    return shown + building
