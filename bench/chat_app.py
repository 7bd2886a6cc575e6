"""A FastAPI chat app with a route for each contender.

`/none` has no session. `/list` is the minimum that any session costs: the SDK's loop with a list in
this process. The model answers at once, so that the work around it is measured. To start it:
`python -m bench.chat_app <redis url> <port>`.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import agents
import uvicorn
from agents import Agent, set_tracing_disabled
from agents.extensions.memory.redis_session import RedisSession as SDKRedisSession
from agents.items import TResponseInputItem
from agents.memory import SessionABC
from fastapi import FastAPI
from pydantic import BaseModel
from redis.asyncio import Redis

import turnwise
from bench.model import InstantModel

_MAX_LISTS = 1_000


class ListSession(SessionABC):
    """Keeps its items in a list."""

    def __init__(self, session_id: str) -> None:
        self.session_id = session_id
        self._items: list[TResponseInputItem] = []

    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        return [*self._items]

    async def add_items(self, items: list[TResponseInputItem]) -> None:
        self._items += items

    async def pop_item(self) -> TResponseInputItem | None:
        return self._items.pop() if self._items else None

    async def clear_session(self) -> None:
        self._items = []


class Message(BaseModel):
    session_id: str
    message: str


class Answer(BaseModel):
    response: str


def build(url: str) -> FastAPI:
    """The app, with one route for each contender."""
    agent = Agent[None](name="chat", instructions="Answer.", model=InstantModel())
    client = Redis.from_url(url, socket_timeout=60)  # no error while the machine is busy
    sessions = turnwise.RedisSession.from_url(url)
    lists: dict[str, ListSession] = {}

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await client.aclose()
        await sessions.aclose()

    app = FastAPI(lifespan=lifespan)

    @app.post("/none")
    async def no_session(message: Message) -> Answer:
        result = await agents.Runner.run(agent, message.message)
        return Answer(response=result.final_output)

    @app.post("/list")
    async def list_session(message: Message) -> Answer:
        if len(lists) > _MAX_LISTS:
            lists.clear()
        session = lists.setdefault(message.session_id, ListSession(message.session_id))
        result = await agents.Runner.run(agent, message.message, session=session)
        return Answer(response=result.final_output)

    @app.post("/sdk")
    async def sdk_session(message: Message) -> Answer:
        session = SDKRedisSession(message.session_id, redis_client=client)
        result = await agents.Runner.run(agent, message.message, session=session)
        return Answer(response=result.final_output)

    @app.post("/turnwise")
    async def turnwise_session(message: Message) -> Answer:
        result = await turnwise.Runner.run(
            agent, message.message, session=sessions, session_id=message.session_id
        )
        return Answer(response=result.final_output)

    return app


if __name__ == "__main__":
    set_tracing_disabled(True)
    uvicorn.run(build(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
