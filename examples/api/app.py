"""A chat API whose replicas share their sessions: any replica serves any conversation.

`uvicorn examples.api.app:app --port 8001`. Settings come from the environment, see README.md.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from agents import Agent
from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from redis.exceptions import RedisError

from examples.answers import answer_of
from examples.offline import converse, model
from turnwise import RedisSession, Runner
from turnwise.errors import (
    AlreadyCommitted,
    LimitError,
    SessionBusy,
    StoreUnavailable,
    TurnError,
    TurnwiseError,
    UsageError,
)

session = RedisSession.from_url(
    os.environ.get("REDIS_URL", "redis://localhost:6379/0"),
    key_prefix=os.environ.get("KEY_PREFIX", "chat:sessions:"),
    lease=float(os.environ.get("LEASE_SECONDS", "15")),
)
agent = Agent[Any](
    name="API Agent", instructions="You are a helpful assistant.", model=model(converse)
)

# The first matching error decides: status code and, where a retry helps, seconds to wait before it.
STATUS: tuple[tuple[type[TurnwiseError], int, int | None], ...] = (
    (UsageError, 422, None),
    (LimitError, 413, None),
    (SessionBusy, 409, 1),
    (StoreUnavailable, 503, 1),
    (TurnError, 409, 1),
    (TurnwiseError, 500, None),
)


class Chat(BaseModel):
    """A message. With a `turn_id`, retries are safe: the message is answered once."""

    session_id: str
    message: str
    turn_id: str | None = None


class Answer(BaseModel):
    response: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    async with session:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/chat")
async def chat(
    body: Chat, response: Response, turn_id: Annotated[str | None, Header()] = None
) -> Answer:
    """Answer a message. A turn that is already committed does not run again."""
    try:
        result = await Runner.run(
            agent,
            body.message,
            session=session,
            session_id=body.session_id,
            turn_id=body.turn_id or turn_id,
        )
    except AlreadyCommitted as committed:
        return Answer(response=answer_of(committed.items))
    response.headers["Served-By"] = session.runtime.name
    return Answer(response=result.final_output)


@app.get("/health")
async def health() -> dict[str, str]:
    """200 if this replica reaches the store, else 503."""
    try:
        await session.client.ping()
    except RedisError as error:
        raise HTTPException(503, f"the store does not answer: {type(error).__name__}") from error
    return {"status": "ok"}


@app.exception_handler(TurnwiseError)
async def refuse(_: Request, error: TurnwiseError) -> JSONResponse:
    status, retry_after = next(
        (status, after) for kind, status, after in STATUS if isinstance(error, kind)
    )
    headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
    return JSONResponse({"error": str(error)}, status, headers)
