"""The app that people write without Turnwise, as the SDK's guides have it: one process, its session
of the SDK on Redis. To start it: `python -m bench.reference_app <redis url> <port>`.

`/chat` answers as JSON, `/stream` with the tokens as they come.
"""

from __future__ import annotations

import json
import sys
from collections.abc import AsyncIterator

import uvicorn
from agents import RawResponsesStreamEvent, Runner
from agents.extensions.memory.redis_session import RedisSession
from fastapi import FastAPI, Request
from fastapi.responses import StreamingResponse
from openai.types.responses import ResponseTextDeltaEvent as Delta
from redis.asyncio import Redis

from bench.serve_agents import agents


def build(url: str) -> FastAPI:
    """The app."""
    chat_agent, typing_agent, *_ = agents
    client = Redis.from_url(url, socket_timeout=60)  # no error while the machine is busy
    app = FastAPI()

    @app.post("/chat")
    async def chat(request: Request) -> dict[str, str]:
        body = await request.json()
        session = RedisSession(body["session_id"], redis_client=client)
        result = await Runner.run(chat_agent, body["message"], session=session)
        return {"response": result.final_output}

    @app.post("/stream")
    async def stream(request: Request) -> StreamingResponse:
        body = await request.json()
        session = RedisSession(body["session_id"], redis_client=client)
        result = Runner.run_streamed(typing_agent, body["message"], session=session)

        async def tokens() -> AsyncIterator[str]:
            async for event in result.stream_events():
                if isinstance(event, RawResponsesStreamEvent) and isinstance(event.data, Delta):
                    yield f"event: delta\ndata: {json.dumps({'text': event.data.delta})}\n\n"
            yield "event: done\ndata: {}\n\n"

        return StreamingResponse(tokens(), media_type="text/event-stream")

    return app


if __name__ == "__main__":
    uvicorn.run(build(sys.argv[1]), port=int(sys.argv[2]), log_level="warning", access_log=False)
