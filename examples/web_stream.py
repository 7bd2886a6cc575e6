"""A chat API that streams its answers, in three ways. They differ in what a lost connection means.

    uvicorn examples.web_stream:app

    POST /stream     the turn goes on without its client, and is committed
    POST /attached   the turn belongs to the request: it is rolled back if the client disconnects
    POST /messages   the turn belongs to a worker. The client follows it on any replica, and reads
                     on after a lost connection: GET /messages/{session_id}/{turn_id}/events

Each answer is a stream of server-sent events: `delta` (text), then `done`, or `error`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from agents import Agent, RunResultStreaming, StreamEvent
from fastapi import FastAPI, Header
from fastapi.responses import StreamingResponse
from openai.types.responses import ResponseTextDeltaEvent
from pydantic import BaseModel

from examples.offline import converse, model
from turnwise import Runner, TurnwiseError, Worker, connect

log = logging.getLogger(__name__)
session = connect(os.environ.get("TURNWISE_URL", "sqlite:///web.db"))
agent = Agent[Any](name="Chat", instructions="Be brief.", model=model(converse))
idle_timeout = float(os.environ.get("STREAM_IDLE_SECONDS", "60"))


class Message(BaseModel):
    """What a user says. The browser makes a `turn_id` for each message, and a retry repeats it."""

    session_id: str
    turn_id: str
    text: str


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """A worker beside the API answers what is submitted; it could be a process of its own."""
    async with session:  # when it is closed, it waits for the turns that go on without a client
        worker = Worker(session, [agent])
        running = asyncio.create_task(worker.run())
        yield
        worker.stop()
        await running


app = FastAPI(lifespan=lifespan)


def run(message: Message, **options: Any) -> RunResultStreaming:
    return Runner.run_streamed(
        agent,
        message.text,
        session=session,
        session_id=message.session_id,
        turn_id=message.turn_id,
        stream_idle_timeout=idle_timeout,
        **options,
    )


async def deltas(result: RunResultStreaming) -> AsyncIterator[str]:
    """The text of a run as it comes. It ends when the turn is committed."""
    async for event in result.stream_events():
        if text := text_of(event):
            yield sse("delta", text=text)
    yield sse("done")


# The turn goes on without its client.


@app.post("/stream")
async def stream(message: Message) -> StreamingResponse:
    return events(with_errors(deltas(run(message))))


# The turn belongs to the request.


@app.post("/attached")
async def attached(message: Message) -> StreamingResponse:
    return events(with_errors(deltas(run(message, on_disconnect="rollback"))))


# The turn belongs to a worker.


@app.post("/messages")
async def submit(message: Message) -> dict[str, str]:
    """Returns when the message is stored. Sent twice, it is answered once."""
    receipt = await session.submit(
        message.session_id, message.text, agent=agent.name, turn_id=message.turn_id
    )
    return {"events": f"/messages/{receipt.session_id}/{receipt.turn_id}/events"}


@app.get("/messages/{session_id}/{turn_id}/events")
async def follow(
    session_id: str, turn_id: str, last_event_id: Annotated[str | None, Header()] = None
) -> StreamingResponse:
    """For the browser's `EventSource`, which reconnects by itself and names the last id it got."""
    receipt = session.receipt(session_id, turn_id)

    async def read() -> AsyncIterator[str]:
        async for event_id, event in receipt.events(after=last_event_id):
            if event["type"] == "turn.reset":
                yield sse("reset")  # another attempt has begun: forget the text so far
            elif event["type"] == "turn.finished":
                yield sse("done", event_id, state=event["state"])
            elif text := text_in(event):
                yield sse("delta", event_id, text=text)

    return events(with_errors(read()))


def events(parts: AsyncIterator[str]) -> StreamingResponse:
    headers = {"Cache-Control": "no-store"}
    return StreamingResponse(parts, media_type="text/event-stream", headers=headers)


async def with_errors(parts: AsyncIterator[str]) -> AsyncIterator[str]:
    """The status 200 is sent by now, so an error is an event too."""
    try:
        async for part in parts:
            yield part
    except TurnwiseError as error:
        yield sse("error", error=type(error).__name__, message=str(error))
    except Exception as error:  # a tool's or a model's, which may quote what users are not to see
        log.exception("a turn failed")
        yield sse("error", error=type(error).__name__, message="")


def sse(event: str, event_id: str = "", **data: Any) -> str:
    id_line = f"id: {event_id}\n" if event_id else ""
    return f"event: {event}\n{id_line}data: {json.dumps(data)}\n\n"


def text_of(event: StreamEvent) -> str:
    if event.type == "raw_response_event" and isinstance(event.data, ResponseTextDeltaEvent):
        return event.data.delta
    return ""


def text_in(event: dict[str, Any]) -> str:
    """The same, of an event as the event log has it."""
    data = event.get("data", {})
    return str(data["delta"]) if data.get("type") == "response.output_text.delta" else ""
