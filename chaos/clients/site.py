"""What all clients have in common: the address, who they are, and what the answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import Request
from openai import AsyncOpenAI

from turnwise.http import Principal

OWNER = "X-Owner"
_TIMEOUT = 30.0
_AGAIN = (429, 502, 503, 504)
"""Statuses that a load balancer or a server that stops answers with."""
_TRIES, _PAUSE = 12, 0.25


@dataclass(frozen=True)
class Ask:
    """A message: who sends it, to which session, under which id."""

    owner: str
    session: str
    turn_id: str
    text: str

    @property
    def headers(self) -> dict[str, str]:
        return {OWNER: self.owner}


@dataclass(frozen=True)
class Told:
    """What the client was told. `text` is the answer, `streamed` what it shows of the stream."""

    text: str
    streamed: str


class Unknown(Exception):
    """It is not known what became of the message. It may be sent again, with the same id."""


class Failed(Exception):
    """The client was told that the turn failed, or was cancelled."""


class Site:
    """The replicas behind their load balancer."""

    def __init__(self, address: str) -> None:
        self.http = httpx.AsyncClient(
            base_url=address,
            timeout=_TIMEOUT,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=64),
        )
        self._openai = AsyncOpenAI(
            base_url=f"{address}/v1", api_key="none", max_retries=0, timeout=_TIMEOUT
        )

    @staticmethod
    def headers(owner: str) -> dict[str, str]:
        """Who sends a request."""
        return {OWNER: owner}

    def openai(self, ask: Ask) -> AsyncOpenAI:
        """OpenAI's client, as the sender of this message."""
        return self._openai.with_options(default_headers=ask.headers)

    async def aclose(self) -> None:
        await self.http.aclose()
        await self._openai.close()


Reader = Callable[[Site, Ask], Awaitable[Told]]
OWNERS = "owner-0", "owner-1"


def owner_of(session: str) -> str:
    """Whose session it is: every second one is another's."""
    return OWNERS[int(session.rpartition("-")[2]) % 2]


def other_owner(session: str) -> str:
    """Somebody whose session it is not."""
    return OWNERS[(int(session.rpartition("-")[2]) + 1) % 2]


async def principal(request: Request) -> Principal:
    """Who sends a request, as the replicas see it."""
    owner = request.headers[OWNER]
    return Principal(owner=owner, key=owner)


async def again(attempt: Callable[[], Awaitable[Told | None]]) -> Told:
    """What an attempt returns. One that returns None, or whose connection breaks, is repeated."""
    for _ in range(_TRIES):
        try:
            if (told := await attempt()) is not None:
                return told
        except httpx.TransportError:
            pass
        await asyncio.sleep(_PAUSE)
    raise Unknown("NoAnswer")


async def check(response: httpx.Response) -> bool:
    """Whether it is an answer; not if the same request may succeed elsewhere, or later.

    Raises Failed if it says that the turn failed; AssertionError if it should not say that.
    """
    if response.status_code in _AGAIN:
        return False
    if response.is_success:
        return True
    await response.aread()
    problem = _json(response)
    if problem.get("code") in ("DeadLettered", "TurnCancelled"):
        raise Failed(problem["code"])
    if problem.get("code") in ("StoreUnavailable", "StoreRefused", "OutcomeUnknown"):
        return False
    raise AssertionError(f"{response.request.url.path}: {response.status_code} {response.text}")


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


@dataclass(frozen=True)
class Sent:
    """One event of a stream."""

    event: str
    data: str
    id: str | None


async def events_of(response: httpx.Response) -> AsyncIterator[Sent]:
    """The events of a stream. One that was cut off is none."""
    fields: dict[str, str] = {}
    async for line in response.aiter_lines():
        if line:
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            fields[name] = f"{fields[name]}\n{value}" if name in fields else value
        else:
            if "data" in fields:
                yield Sent(fields.get("event", ""), fields["data"], fields.get("id"))
            fields = {}
