"""OpenAI's own client at a server of ours."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import httpx
from agents import Agent
from openai import AsyncOpenAI
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tests.http.site import Site, site_of
from turnwise.session import Session
from turnwise.testing.servers.waiting import until

_EVENT: TypeAdapter[ResponseStreamEvent] = TypeAdapter(ResponseStreamEvent)
OVER = ("completed", "failed", "cancelled", "incomplete")


class Door:
    """A client, and the server that it reaches."""

    def __init__(self, site: Site, client: AsyncOpenAI) -> None:
        self.site = site
        self.client = client
        self.responses = client.responses
        self.conversations = client.conversations

    @property
    def http(self) -> httpx.AsyncClient:
        return self.site.client

    @property
    def session(self) -> Session:
        return self.site.session

    async def post(self, **body: Any) -> httpx.Response:
        """Ask for a response without the client."""
        return await self.http.post("/v1/responses", json={"model": "writer", **body})

    async def over(self, response_id: str) -> Response:
        """The response when it is over."""

        async def reached() -> bool:
            return (await self.responses.retrieve(response_id)).status in OVER

        await until(reached, 30, "the response is over")
        return await self.responses.retrieve(response_id)


@asynccontextmanager
async def door_to(
    session: Session, agents: Sequence[Agent[Any]], **options: Any
) -> AsyncIterator[Door]:
    async with site_of(session, agents, **options) as site:
        base = f"{site.client.base_url}v1"
        async with AsyncOpenAI(base_url=base, api_key="none", max_retries=0) as client:
            yield Door(site, client)


async def read(stream: Any) -> list[Any]:
    """All events of a stream. Each is one of the client's own types, in order."""
    events = [event async for event in stream]
    for event in events:
        _EVENT.validate_python(event.model_dump())
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    return events


def text_of(events: Sequence[Any]) -> str:
    """What the deltas say."""
    deltas = (event for event in events if event.type == "response.output_text.delta")
    return "".join(event.delta for event in deltas)


def checked(response: Response) -> Response:
    """The response, which is whole by the client's own types."""
    Response.model_validate(response.model_dump())
    return response
